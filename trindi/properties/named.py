"""One read-only mapping of names to things, for drivers, devices and vectors, also remote ones.

It knows nothing of what it holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, TypeVar

from trindi.errors import ConfigurationError

V = TypeVar("V")


class NamedMapping(Mapping[str, V]):
    """A mapping of name to item that is equal only to itself, so it can be a key.

    A subclass keeps its items in `_by_name`, and says what errors call them and itself. If its
    values are not the items, it overrides `__getitem__`. The names are chosen so that those of an
    author's own attributes do not meet them.
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
        """Make the error for a name that is not here; it names those that are."""
        known = f"only {', '.join(self._by_name)}" if self._by_name else "nor any other"
        return KeyError(f"{self._error_name} has no {self._item_kind} {name!r}, {known}")

    def _add(self, name: str, item: Any, owner: str | None) -> None:
        """Add an item that has no owner yet.

        Raises:
            ValueError: the name is taken, or the item is part of `owner`.
        """
        if name in self._by_name:
            raise ConfigurationError(
                f"{self._error_name} has two {self._item_kind}s named {name!r}"
            )
        if owner is not None:
            raise ConfigurationError(
                f"{self._item_kind} {name!r} is part of {owner}: make another {self._item_kind}"
            )
        self._by_name[name] = item
