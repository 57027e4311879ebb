"""What members, vectors, devices and drivers are to each other, without importing each other.

Each owner is a read-only mapping of names; Protocols say what else its parts use of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from trindi.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from trindi.protocol import Event, setBLOBVector

V = TypeVar("V")


class NamedMapping(Mapping[str, V]):
    """A mapping of name to item that is equal only to itself, so it can be a key.

    A subclass keeps its items in `_by_name`, and says what errors call them and itself.
    """

    _item_kind: ClassVar[str]
    _by_name: dict[str, Any]

    if not TYPE_CHECKING:
        # Called for what is missing only, and hidden from type checkers: they know what there is.
        def __getattr__(self, name: str) -> Any:
            if "_by_name" in self.__dict__ or name.startswith("__"):
                return object.__getattribute__(self, name)
            raise ConfigurationError(
                f"{type(self).__name__}.__init__ has not called super().__init__(…): call it first"
            )

    @property
    def _error_name(self) -> str:
        raise NotImplementedError

    def __getitem__(self, name: str) -> V:
        item: V = self._find(name)
        return item

    def _find(self, name: str) -> Any:
        try:
            return self._by_name[name]
        except KeyError:
            known = f"only {', '.join(self._by_name)}" if self._by_name else "nor any other"
            message = f"{self._error_name} has no {self._item_kind} {name!r}, {known}"
            raise KeyError(message) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

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


def reserved_names(base: type[Any], for_authors: Iterable[str]) -> set[str]:
    """Return the names of a class that a subclass may not use for something else."""
    names = {name for name in dir(base) if not name.startswith(("__", "_abc_"))}
    return names - set(for_authors)


def hidden_name(what: str, name: str) -> str:
    return f"{what} takes the place of {name} that trindi needs: give it another name"


def check_names_of(
    cls: type[Any], base: type[Any], for_authors: Iterable[str], attributes: Iterable[str] = ()
) -> None:
    """Raise TypeError if a subclass, or a mixin before the base, takes a name of the base."""
    reserved = reserved_names(base, for_authors) | set(attributes)
    for one in cls.__mro__[: cls.__mro__.index(base)]:
        for name in sorted(vars(one).keys() & reserved):
            if not one.__module__.startswith("trindi."):
                raise TypeError(hidden_name(f"{one.__name__}.{name}", name))


class VectorOfMember(Protocol):
    def __setitem__(self, name: str, value: Any, /) -> None: ...
    def invalidate_definition(self) -> None: ...


class DeviceOfVector(Protocol):
    devicename: str
    driver: Any
    enable: bool
    revision: int

    def __getitem__(self, name: str, /) -> Any: ...


class EventSink(Protocol):
    """What a driver offers its vectors and devices for sending."""

    def stamp(self, timestamp: datetime | None, message: str = "") -> datetime: ...
    def ready(self) -> Awaitable[None]: ...
    async def yield_if_due(self) -> None: ...
    def publish(self, event: Event) -> None: ...
    async def publish_blob(self, event: setBLOBVector, *, wait: bool = True) -> None: ...
    async def in_thread(self, load: Callable[[], bytes]) -> bytes: ...


def no_driver(sender: str) -> RuntimeError:
    return RuntimeError(
        f"{sender} cannot send yet: put its device into an IPyDriver, and send while that runs"
    )
