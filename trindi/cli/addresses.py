"""DEV.VEC.MEMBER: how users of the command line name devices, properties and members.

A part that has a dot, or begins with a quote, is quoted as a whole: ``"ST-8.1".CCD1.CCD1``. In a
pattern ``*`` stands for any characters, and parts that are left out match all. This module knows
text only.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "ANY",
    "Address",
    "AddressError",
    "Part",
    "Pattern",
    "devices_of",
    "join",
    "make_address",
    "parse_address",
    "parse_pattern",
    "parse_property",
    "split",
]

_PART: Final = re.compile(r"""(["'])(?P<quoted>(?:(?!\1).)+)\1(?=[.=]|$)|(?P<bare>[^.=]+)""")


class AddressError(click.BadParameter):
    """A text is no address: wrong usage, and exit status 2."""


class Part(NamedTuple):
    """One part of an address, and whether it was quoted: then it means just what it says."""

    name: str
    quoted: bool = False

    @property
    def is_exact(self) -> bool:
        """Whether it matches one name only."""
        return self.quoted or "*" not in self.name

    def matches(self, name: str) -> bool:
        """Whether a name is meant."""
        if self.is_exact:
            return name == self.name
        first, *middle, last = self.name.split("*")
        begin, end = len(first), len(name) - len(last)
        if begin > end or not (name.startswith(first) and name.endswith(last)):
            return False
        # Each at the first place where it is: what is left for the others is the most there can be.
        for piece in middle:
            place = name.find(piece, begin, end)
            if place < 0:
                return False
            begin = place + len(piece)
        return True


ANY: Final = Part("*")


class Address(NamedTuple):
    """One member of one property, or, without a member, that property."""

    devicename: str
    vectorname: str
    membername: str = ""

    def __str__(self) -> str:
        return join(*filter(None, self))


class Pattern(NamedTuple):
    """All members that a user means; `text` is what was typed."""

    text: str
    device: Part = ANY
    vector: Part = ANY
    member: Part = ANY

    @property
    def is_exact(self) -> bool:
        """Whether it matches one member only."""
        return self.device.is_exact and self.vector.is_exact and self.member.is_exact

    def covers(self, devicename: str, vectorname: str) -> bool:
        """Whether it matches a property."""
        return self.device.matches(devicename) and self.vector.matches(vectorname)

    def __str__(self) -> str:
        return self.text


def split(text: str) -> tuple[list[Part], str]:
    """Split a text into the parts of an address, and what follows the ``=`` behind them.

    Raises:
        AddressError: it has an empty part.
    """
    parts: list[Part] = []
    end = -1
    while end < len(text):
        found = _PART.match(text, end + 1)
        if found is None:
            raise AddressError(f"{text!r} has an empty part: write DEVICE.VECTOR.MEMBER")
        parts.append(Part(found["quoted"] or found["bare"], found["quoted"] is not None))
        end = found.end()
        if text[end : end + 1] != ".":
            break
    return parts, text[end:]


def parse_pattern(text: str) -> Pattern:
    """Read a pattern of one to three parts.

    Raises:
        AddressError: it is none.
    """
    parts, rest = split(text)
    if rest or len(parts) > 3:
        raise AddressError(f"{text!r} is not DEVICE, DEVICE.VECTOR or DEVICE.VECTOR.MEMBER")
    return Pattern(text, *parts)


def parse_address(text: str, parts: int) -> Address:
    """Read an address of a member (3 parts) or of a property (2), without wildcards.

    Raises:
        AddressError: it is none.
    """
    found, rest = split(text)
    return make_address(found, text if rest else "", text, parts)


def parse_property(text: str) -> Address:
    """Read an address of a property.

    Raises:
        AddressError: it is none.
    """
    return parse_address(text, 2)


def make_address(found: list[Part], rest: str, text: str, parts: int = 3) -> Address:
    """Make an address of parts.

    Raises:
        AddressError: they are too many or too few, or have wildcards.
    """
    if rest or len(found) != parts:
        wanted = "DEVICE.VECTOR.MEMBER" if parts == 3 else "DEVICE.VECTOR"
        raise AddressError(f"{text!r} is not {wanted}")
    if not all(part.is_exact for part in found):
        raise AddressError(f"{text!r} is to name one thing: no wildcards here")
    return Address(*(part.name for part in found))


def join(*names: str) -> str:
    """Write an address, quoted where it has to be."""
    return ".".join(_quoted(name) for name in names)


def _quoted(name: str) -> str:
    if name[:1] not in {'"', "'"} and not set(".=*") & set(name):
        return name
    return f"'{name}'" if '"' in name else f'"{name}"'


def devices_of(patterns: Iterable[Pattern]) -> list[str]:
    """Name the devices to ask for; none means that all are to be asked for.

    Whole devices are asked for, as not every driver answers for one property alone.
    """
    parts = [pattern.device for pattern in patterns]
    if not all(part.is_exact for part in parts):
        return []
    return list(dict.fromkeys(part.name for part in parts))
