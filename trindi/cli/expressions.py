"""Conditions on the values of properties: read by a small parser of their own, never evaluated.

    condition  = both {"or" both}
    both       = single {"and" single}
    single     = "not" single | "(" condition ")" | comparison
    comparison = operand relation operand {relation operand}
    relation   = "==" | "!=" | "<" | "<=" | ">" | ">="
    operand    = number | "text" | word | DEVICE.VECTOR.MEMBER

A part of an address with a blank is quoted: ``"CCD Simulator".CCD1._STATE``. A condition on what is
not known (yet) is neither so nor not so. This module knows values by their addresses only.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import click

from trindi.cli.addresses import Address, AddressError, parse_address
from trindi.protocol import State, SwitchState, parse_number

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Condition", "ConditionError", "Look", "parse_condition"]

Value: TypeAlias = float | str
Look: TypeAlias = Callable[[Address], Value | None]
"""Says what a value is now; None where it is not known."""

_MAX_DEPTH: Final = 50
"""Parentheses within parentheses."""

_WORDS: Final = frozenset([*SwitchState, *State])

_RELATIONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<relation> [<>=!]=? )
      | (?P<bracket> [()] )
      | (?P<operand> (?: "[^"]*" | '[^']*' | [^\s()<>=!"'] )+ )
    )""",
    re.VERBOSE,
)
_QUOTED: Final = re.compile(r"""(["'])(?P<text>(?:(?!\1).)*)\1""", re.DOTALL)


class ConditionError(click.UsageError):
    """A text is no condition, or compares what cannot be compared: wrong usage, exit status 2."""


class Given(str):
    """A text of the condition itself, which will never be another."""

    __slots__ = ()


class Operand(NamedTuple):
    """A value that is given, or the address of one."""

    value: Value | Address

    def look(self, look: Look) -> Value | None:
        """Say what it is now."""
        return look(self.value) if isinstance(self.value, Address) else self.value


class Comparison(NamedTuple):
    """Two operands or more, with a relation between each two."""

    operands: Sequence[Operand]
    relations: Sequence[str]

    def holds(self, look: Look) -> bool | None:
        """Say whether it is so; None where that is not known."""
        values = [operand.look(look) for operand in self.operands]
        pairs = zip(values, self.relations, values[1:], strict=False)
        return _all(_compare(*pair) for pair in pairs)

    def addresses(self) -> list[Address]:
        """Name what it is about."""
        return [one.value for one in self.operands if isinstance(one.value, Address)]


class Junction(NamedTuple):
    """Conditions joined by "and", "or" or "not"."""

    word: str
    parts: Sequence[Condition]

    def holds(self, look: Look) -> bool | None:
        """Say whether it is so; None where that is not known."""
        found = [part.holds(look) for part in self.parts]
        if self.word == "and":
            return _all(found)
        if self.word == "not":
            return _not(found[0])
        # Not all of them are not so.
        return _not(_all(map(_not, found)))

    def addresses(self) -> list[Address]:
        """Name what it is about."""
        return list(dict.fromkeys(one for part in self.parts for one in part.addresses()))


Condition: TypeAlias = Comparison | Junction


def _not(found: bool | None) -> bool | None:
    return None if found is None else not found


def _all(found: Iterator[bool | None] | Sequence[bool | None]) -> bool | None:
    known = list(found)
    return False if False in known else None if None in known else True


# Comparing ---------------------------------------------------------------------------------------


def _compare(left: Value | None, relation: str, right: Value | None) -> bool | None:
    if left is None or right is None:
        return None
    left, right = _like(left, right), _like(right, left)
    if isinstance(left, str) is isinstance(right, str):
        return _RELATIONS[relation](left, right)
    # A text that is no number just now.
    return relation == "!="


def _like(value: Value, other: Value) -> Value:
    """Read a value as one that can be compared with the other."""
    if isinstance(other, StrEnum):
        return _one_of(type(other), value)
    if isinstance(other, float) and isinstance(value, str):
        try:
            return parse_number(value)
        except ValueError:
            if isinstance(value, Given):
                raise ConditionError(f"it is a number, and never {_shown(value)}") from None
    return value


def _one_of(kind: type[StrEnum], value: Value) -> StrEnum:
    try:
        return kind(str(value))
    except ValueError:
        words = ", ".join(kind)
        raise ConditionError(f"it is one of {words}, and never {_shown(value)}") from None


def _shown(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else repr(str(value))


# Reading -----------------------------------------------------------------------------------------


def parse_condition(text: str) -> Condition:
    """Read a condition.

    Raises:
        ConditionError: it is none.
    """
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._depth = 0

    def parse(self) -> Condition:
        found = self._any()
        if self._tokens:
            raise ConditionError(f"{self._tokens[0]!r} is not expected there")
        return found

    def _peek(self) -> str:
        return self._tokens[0] if self._tokens else ""

    def _take(self, *wanted: str) -> bool:
        """Go past a token, if it is one of these."""
        found = self._peek() in wanted
        if found:
            self._tokens.pop(0)
        return found

    def _any(self) -> Condition:
        parts = [self._both()]
        while self._take("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Junction("or", parts)

    def _both(self) -> Condition:
        parts = [self._single()]
        while self._take("and"):
            parts.append(self._single())
        return parts[0] if len(parts) == 1 else Junction("and", parts)

    def _single(self) -> Condition:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ConditionError("it is nested too deeply")
        try:
            if self._take("not"):
                return Junction("not", [self._single()])
            if not self._take("("):
                return self._comparison()
            found = self._any()
            if not self._take(")"):
                raise ConditionError("a parenthesis is not closed")
            return found
        finally:
            self._depth -= 1

    def _comparison(self) -> Comparison:
        operands = [self._operand()]
        relations: list[str] = []
        while self._peek() in _RELATIONS:
            relations.append(self._tokens.pop(0))
            operands.append(self._operand())
        if not relations:
            raise ConditionError("compare it with something: DEVICE.VECTOR.MEMBER > 15")
        return Comparison(operands, relations)

    def _operand(self) -> Operand:
        token = self._peek()
        if not token:
            raise ConditionError("something is missing at its end")
        if token in _RELATIONS or token in {"(", ")", "and", "or", "not", "=", "!"}:
            raise ConditionError(f"{token!r} is not expected there")
        self._tokens.pop(0)
        return Operand(_read(token))


def _tokens(text: str) -> Iterator[str]:
    text = text.rstrip()
    end = 0
    while end < len(text):
        found = _TOKEN.match(text, end)
        if found is None:
            raise ConditionError(f"a quote is not closed: {text[end:].strip()}")
        yield found[0].strip()
        end = found.end()


def _read(token: str) -> Value | Address:
    """Read an operand: what is quoted as a whole is a text."""
    quoted = _QUOTED.fullmatch(token)
    if quoted is not None:
        return Given(quoted["text"])
    if token in _WORDS:
        return Given(token)
    try:
        return parse_number(token)
    except ValueError:
        pass
    try:
        return parse_address(token, 3)
    except AddressError:
        raise ConditionError(
            f"{token!r} is no number and no DEVICE.VECTOR.MEMBER: "
            "quote texts, and names that have blanks"
        ) from None
