"""DEV.VEC.MEMBER: how users of the command line name devices, properties and members.

A part that has a dot, or begins with a quote, is quoted as a whole: ``"ST-8.1".CCD1.CCD1``. In a
pattern ``*`` stands for any characters, and parts that are left out match all.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, NamedTuple

import click

if TYPE_CHECKING:
    from collections.abc import Iterable


_PART: Final = re.compile(r"""(["'])(?P<quoted>(?:(?!\1).)+)\1(?=[.=]|$)|(?P<bare>[^.=]+)""")


class AddressError(click.BadParameter):
    """A text is no address: wrong usage, and exit status 2."""


class Part(NamedTuple):
    """One part of an address; a quoted part has no wildcards."""

    name: str
    quoted: bool = False

    @property
    def is_exact(self) -> bool:
        return self.quoted or "*" not in self.name

    def matches(self, name: str) -> bool:
        if self.is_exact:
            return name == self.name
        # * is the only wildcard.
        return fnmatchcase(name, re.sub(r"[?[]", r"[\g<0>]", self.name))


ANY: Final = Part("*")


class Address(NamedTuple):
    """One member of one property, or, without a member, that property."""

    devicename: str
    vectorname: str
    membername: str = ""

    def __str__(self) -> str:
        # Loaded only here: help needs nothing but click.
        from trindi.visible import join_names

        return join_names(*filter(None, self))

    @property
    def vector(self) -> Address:
        return Address(self.devicename, self.vectorname)


class Assignment(NamedTuple):
    """A member and the text of its new value."""

    address: Address
    text: str


class Pattern(NamedTuple):
    """A set of members; `text` is what the user has typed."""

    text: str
    device: Part = ANY
    vector: Part = ANY
    member: Part = ANY

    @property
    def is_exact(self) -> bool:
        return self.device.is_exact and self.vector.is_exact and self.member.is_exact

    @property
    def is_one_property(self) -> bool:
        """Whether it is about one property, of which all members come at once."""
        return self.device.is_exact and self.vector.is_exact

    def covers(self, devicename: str, vectorname: str) -> bool:
        return self.device.matches(devicename) and self.vector.matches(vectorname)

    def covers_device(self, devicename: str | None) -> bool:
        """Whether it matches members of a device; messages without a device concern all."""
        return devicename is None or self.device.matches(devicename)

    def __str__(self) -> str:
        return self.text


EVERYTHING: Final = Pattern("*.*.*")


def split(text: str) -> tuple[list[Part], str]:
    """Split a text into the parts of an address and the rest, which is empty or begins with "="."""
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
    """Read a pattern of one to three parts."""
    parts, rest = split(text)
    if rest or len(parts) > 3:
        raise AddressError(f"{text!r} is not DEVICE, DEVICE.VECTOR or DEVICE.VECTOR.MEMBER")
    return Pattern(text, *parts)


def parse_address(text: str, length: int = 3) -> Address:
    """Read the address of a member (length 3) or of a property (length 2), without wildcards."""
    parts, rest = split(text)
    return _address([] if rest else parts, text, length)


def parse_property(text: str) -> Address:
    return parse_address(text, 2)


def parse_assignment(text: str) -> Assignment:
    """Read DEVICE.VECTOR.MEMBER=VALUE."""
    parts, rest = split(text)
    if not rest:
        raise AddressError(f"{text!r} is not DEVICE.VECTOR.MEMBER=VALUE")
    return Assignment(_address(parts, text, 3), rest[1:])


def _address(parts: list[Part], text: str, length: int) -> Address:
    if len(parts) != length:
        wanted = "DEVICE.VECTOR.MEMBER" if length == 3 else "DEVICE.VECTOR"
        raise AddressError(f"{text!r} is not {wanted}")
    if not all(part.is_exact for part in parts):
        raise AddressError(f"{text!r} is to name one thing: no wildcards here")
    return Address(*(part.name for part in parts))


def devices_of(patterns: Iterable[Pattern]) -> list[str]:
    """Name the devices to ask for, as not every driver answers for one property; none is all."""
    parts = [pattern.device for pattern in patterns]
    exact = all(part.is_exact for part in parts)
    return list(dict.fromkeys(part.name for part in parts)) if exact else []
