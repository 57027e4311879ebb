"""One read-only mapping of names to things, for drivers, devices and vectors, also remote ones.

It knows nothing of what it holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar

from trindi.errors import ConfigurationError

V = TypeVar("V")


class NamedMapping(Mapping[str, V]):
    """A mapping of name to item that is equal only to itself, so it can be a key.

    A subclass keeps its items in `_by_name`, and says what errors call them and itself. Its names
    are such that an author's own attributes do not meet them.
    """

    _item_kind: ClassVar[str]
    _by_name: dict[str, Any]

    @property
    def _error_name(self) -> str:
        raise NotImplementedError

    def __getitem__(self, name: str) -> V:
        try:
            item: V = self._by_name[name]
        except KeyError:
            raise self._unknown(name) from None
        return item

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def _unknown(self, name: str) -> KeyError:
        known = f"only {', '.join(self._by_name)}" if self._by_name else "nor any other"
        return KeyError(f"{self._error_name} has no {self._item_kind} {name!r}, {known}")

    def _adopt(self, items: Iterable[Any], cls: type[Any], owner: str, key: str = "name") -> None:
        """Add items, and make this the one that their attribute `owner` names."""
        kind = self._item_kind
        for item in items:
            if not isinstance(item, cls):
                raise TypeError(
                    f"{kind}s of {self._error_name} are {cls.__name__} instances, "
                    f"not {type(item).__name__}"
                )
            name, present = getattr(item, key), getattr(item, owner)
            if name in self._by_name:
                raise ConfigurationError(f"{self._error_name} has two {kind}s named {name!r}")
            if present is not None:
                raise ConfigurationError(
                    f"{kind} {name!r} is part of {present._error_name}: make another {kind}"
                )
            self._by_name[name] = item
            setattr(item, owner, self)
