"""The decorator that makes the classes of events: frozen dataclasses that are created fast.

Each message is an event, so three functions that `dataclasses` offers are replaced by ones that
take half the time or less; they are compiled for each class, as there. This module knows no event.
"""

from collections.abc import Iterable
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def event(cls: type[T]) -> type[T]:
    """Make a frozen dataclass with slots and a static method `_made`, which takes all its fields.

    `__init__` sets the slots by their own setters; that of a frozen dataclass sets each field by
    name. `_made` is faster still: it fills an instance of a twin class that is not frozen, and then
    changes its class. `__replace__` uses `_made`.
    """
    cls = dataclass(frozen=True, slots=True, init=False)(cls)
    described: tuple[Field[Any], ...] = fields(cls)  # type: ignore[arg-type]
    names = [one.name for one in described]
    all_names = ", ".join(names)
    space: dict[str, Any] = {f"set_{name}": vars(cls)[name].__set__ for name in names}
    space |= {"cls": cls, "KEEP": MISSING}
    space["twin"] = type(cls.__name__, cls.__bases__, {"__slots__": names})

    init = _define(
        space, f"__init__(self, {all_names})", (f"set_{name}(self, {name})" for name in names)
    )
    init.__annotations__ = {one.name: one.type for one in described} | {"return": None}
    init.__defaults__ = _defaults(described)
    cls.__init__ = init  # type: ignore[method-assign]

    filled = [f"self.{name} = {name}" for name in names]
    lines = ["self = twin()", *filled, "self.__class__ = cls", "return self"]
    cls._made = staticmethod(  # type: ignore[attr-defined]
        _define(space, f"_made({all_names})", lines)
    )

    changes = ", ".join(f"{name}=KEEP" for name in names)
    kept = ", ".join(f"self.{name} if {name} is KEEP else {name}" for name in names)
    cls.__replace__ = _define(  # type: ignore[attr-defined]
        space, f"__replace__(self, {changes})", [f"return _made({kept})"]
    )
    return cls


def _define(space: dict[str, Any], heading: str, lines: Iterable[str]) -> Any:
    exec("\n    ".join([f"def {heading}:", *lines]), space)
    return space[heading.partition("(")[0]]


def _defaults(described: Iterable[Field[Any]]) -> tuple[Any, ...]:
    return tuple(
        one.default if one.default_factory is MISSING else one.default_factory()
        for one in described
        if one.default is not MISSING or one.default_factory is not MISSING
    )


def replace(event: T, **changes: Any) -> T:
    """Return a copy of an event with other values in some fields.

    It takes a fraction of the time of `dataclasses.replace` and of Python 3.13's `copy.replace`.
    """
    changed: T = event.__replace__(**changes)  # type: ignore[attr-defined]
    return changed
