"""The decorator that makes the classes of events: frozen dataclasses that are created fast.

Each message is an event, so the functions that create one take half the time of those that
`dataclasses` writes, or less; and its other functions are shared by all classes, because writing
them for each would take most of the time in which a command starts. This module knows no event.
"""

from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from typing import Any, Final, TypeVar, dataclass_transform

T = TypeVar("T")

_LAYOUT: Final = {"__slots__", "__orig_bases__"}
# A twin is created and filled as any object, also where its base is frozen.
_UNFROZEN: Final = {
    name: getattr(object, name) for name in ("__init__", "__setattr__", "__delattr__")
}


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def event(cls: type[T]) -> type[T]:
    """Make a frozen dataclass with slots and a static method `_made`, which takes all its fields.

    `__init__` sets the slots by their own setters; that of a frozen dataclass sets each field by
    name. `_made` is faster still: it fills an instance of a twin class that is not frozen, and then
    changes its class. `__replace__` uses `_made`.
    """
    cls = dataclass(slots=True, init=False, repr=False, eq=False)(cls)
    described: tuple[Field[Any], ...] = fields(cls)  # type: ignore[arg-type]
    names = [one.name for one in described]
    space: dict[str, Any] = {f"set_{name}": getattr(cls, name).__set__ for name in names}
    space |= {"cls": cls, "KEEP": MISSING}
    same = {name: value for name, value in vars(cls).items() if name in _LAYOUT}
    space["twin"] = type(cls.__name__, cls.__bases__, {**same, **_UNFROZEN})
    lines = ["def __init__(self, {names}):"]
    lines += [f"    set_{name}(self, {name})" for name in names]
    lines += ["def _made({names}):", "    self = twin()"]
    lines += [f"    self.{name} = {name}" for name in names]
    lines += ["    self.__class__ = cls", "    return self"]
    kept = ", ".join(f"self.{name} if {name} is KEEP else {name}" for name in names)
    lines += [f"def __replace__(self, {'=KEEP, '.join(names)}=KEEP):", f"    return _made({kept})"]
    exec("\n".join(lines).replace("{names}", ", ".join(names)), space)

    init = space["__init__"]
    init.__annotations__ = {one.name: one.type for one in described} | {"return": None}
    init.__defaults__ = tuple(
        one.default if one.default_factory is MISSING else one.default_factory()
        for one in described
        if one.default is not MISSING or one.default_factory is not MISSING
    )
    compared = [one.name for one in described if one.compare]
    given = {
        "__init__": init,
        "_made": staticmethod(space["_made"]),
        "__replace__": space["__replace__"],
        "_compared": attrgetter(*compared),
        "_hashed": attrgetter(*(one.name for one in described if one.compare and one.hash is None)),
        **_SHARED,
    }
    for name, value in given.items():
        setattr(cls, name, value)
    return cls


def _eq(self: Any, other: Any) -> bool:
    if other.__class__ is not self.__class__:
        return NotImplemented  # type: ignore[no-any-return]
    equal: bool = self._compared(self) == self._compared(other)
    return equal


def _hash(self: Any) -> int:
    return hash(self._hashed(self))


def _repr(self: Any) -> str:
    said = (f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.repr)
    return f"{type(self).__qualname__}({', '.join(said)})"


def _refuse(self: Any, name: str, *_value: object) -> None:
    raise FrozenInstanceError(f"cannot change {name!r}: events are frozen")


def _reduce(self: Any) -> tuple[type[Any], tuple[Any, ...]]:
    return type(self), tuple(getattr(self, one.name) for one in fields(self))


_SHARED: Final[dict[str, Any]] = {
    "__eq__": _eq,
    "__hash__": _hash,
    "__repr__": _repr,
    "__setattr__": _refuse,
    "__delattr__": _refuse,
    "__reduce__": _reduce,
}


def replace(event: T, **changes: Any) -> T:
    """Return a copy of an event with other values in some fields; faster than `copy.replace`."""
    changed: T = event.__replace__(**changes)  # type: ignore[attr-defined]
    return changed
