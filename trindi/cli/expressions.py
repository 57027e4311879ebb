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
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import click

from trindi.cli.addresses import Address, AddressError, parse_address, split
from trindi.protocol import State, SwitchState, parse_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "Condition",
    "ConditionError",
    "Look",
    "parse_condition",
    "shown",
    "unfinished",
    "write_address",
]

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

_ARITHMETIC: Final = frozenset("+-*/%")
_SIGNS: Final = frozenset(["(", ")", "and", "or", "not"])

_INSTEAD: Final[Mapping[str, str]] = {
    "=": "==",
    "!": "not",
    "&": "and",
    "&&": "and",
    "|": "or",
    "||": "or",
    "and": "and",
    "or": "or",
    "not": "not",
}
"""What is to be written where somebody has written so, in small letters or not."""

_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<relation> [<>=!]=? )
      | (?P<bracket> [()] )
      | (?P<operand> (?: "[^"]*" | '[^']*' | [^\s()<>=!"'] )+ )
    )""",
    re.VERBOSE,
)
_PLAIN: Final = re.compile(r"""[^\s()<>=!"'.*]+""")
_QUOTED: Final = re.compile(r"""(["'])(?P<text>(?:(?!\1).)*)\1""", re.DOTALL)


class ConditionError(click.UsageError):
    """A text is no condition, or compares what cannot be compared: wrong usage, exit status 2."""


class Given(str):
    """A text of the condition itself, which will never be another."""

    __slots__ = ()


class Operand(NamedTuple):
    """A value that is given, or the address of one."""

    value: Value | Address

    def __str__(self) -> str:
        return str(self.value) if isinstance(self.value, Address) else shown(self.value)

    def look(self, look: Look) -> Value | None:
        """Say what it is now."""
        return look(self.value) if isinstance(self.value, Address) else self.value


class Comparison(NamedTuple):
    """Two operands or more, with a relation between each two."""

    operands: Sequence[Operand]
    relations: Sequence[str]

    def holds(self, look: Look) -> bool | None:
        """Say whether it is so; None where that is not known."""
        pairs = zip(self.operands, self.relations, self.operands[1:], strict=False)
        return _all(_compare(left, relation, right, look) for left, relation, right in pairs)

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


def _compare(left: Operand, relation: str, right: Operand, look: Look) -> bool | None:
    first, second = left.look(look), right.look(look)
    if first is None or second is None:
        return None
    first, second = _like(first, second, right), _like(second, first, left)
    if isinstance(first, str) is isinstance(second, str):
        return _RELATIONS[relation](first, second)
    # A text that is no number just now.
    return relation == "!="


def _like(value: Value, other: Value, where: Operand) -> Value:
    """Read a value as one that can be compared with the other, which is found somewhere."""
    if isinstance(other, StrEnum):
        try:
            return type(other)(str(value))
        except ValueError:
            raise _never(value, f"one of {', '.join(type(other))}", other, where) from None
    if isinstance(other, float) and isinstance(value, str):
        try:
            return parse_number(value)
        except ValueError:
            if isinstance(value, Given):
                raise _never(value, "a number", other, where) from None
    return value


def _never(value: Value, kind: str, now: Value, where: Operand) -> ConditionError:
    return ConditionError(f"{where} is {kind}, now {shown(now)}, and never {shown(value)}")


def shown(value: Value) -> str:
    """Write a value as it could stand in a condition."""
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
            raise _unexpected(self._tokens[0])
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
                if self._tokens:
                    raise _unexpected(self._tokens[0])
                raise ConditionError("a parenthesis is not closed")
            return found
        finally:
            self._depth -= 1

    def _comparison(self) -> Comparison:
        operands = [self._operand(first=True)]
        relations: list[str] = []
        while self._peek() in _RELATIONS:
            relations.append(self._tokens.pop(0))
            operands.append(self._operand())
        if not relations:
            if _instead(self._peek()):
                raise _unexpected(self._peek())
            raise ConditionError("compare it with something: DEVICE.VECTOR.MEMBER > 15")
        return Comparison(operands, relations)

    def _operand(self, *, first: bool = False) -> Operand:
        token = self._peek()
        if not token:
            raise ConditionError("something is missing at its end")
        if not _is_operand(token):
            raise _unexpected(token)
        words = list(takewhile(_is_operand, self._tokens))
        self._tokens.pop(0)
        try:
            found = Operand(_read(token))
        except ConditionError:
            if words == [token]:
                raise
            raise _unquoted(words) from None
        if first and words != [token]:
            raise _unquoted(words)
        return found


def _is_operand(token: str) -> bool:
    return not (token in _RELATIONS or token in _SIGNS or _instead(token))


def _instead(token: str) -> str:
    """Return what others write so, in other languages, or ""."""
    return _INSTEAD.get(token.lower(), "") if token not in _SIGNS else ""


def _unexpected(token: str) -> ConditionError:
    instead = _instead(token)
    hint = f": write {instead}" if instead else ""
    return ConditionError(f"{token!r} is not expected there{hint}")


def _unquoted(words: Sequence[str]) -> ConditionError:
    """Say how to write a name, or a text, that was written with blanks."""
    if not _ARITHMETIC.isdisjoint(words):
        return ConditionError("there is no arithmetic here: compare values as they are")
    text = " ".join(words)
    try:
        parts, _ = split(text)
    except AddressError:
        parts = []
    written = write_address(part.name for part in parts) if len(parts) == 3 else f'"{text}"'
    return ConditionError(
        f"quote what has a blank, within the quotes of the shell: '{written} ...'"
    )


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
        word = token.capitalize()
        hint = f"write {word}" if word in _WORDS else "quote texts, and names that have blanks"
        raise ConditionError(
            f"{token!r} is no number and no DEVICE.VECTOR.MEMBER: {hint}"
        ) from None


def unfinished(text: str) -> int:
    """Say where in an unfinished condition the operand begins that is being typed."""
    begin = end = 0
    while (found := _TOKEN.match(text, end)) is not None:
        begin = found.end() if found["operand"] is None else found.start("operand")
        end = found.end()
    # Behind the last token are blanks, or a quote that is still open, or both.
    rest = text[end:]
    return len(text) - len(rest.lstrip()) if rest[:1].isspace() else begin


def write_address(names: Iterable[str], quote: str = '"') -> str:
    """Write an address as it stands in a condition."""
    return ".".join(name if _PLAIN.fullmatch(name) else _quoted(name, quote) for name in names)


def _quoted(name: str, quote: str) -> str:
    if quote in name:
        quote = "'" if quote == '"' else '"'
    return f"{quote}{name}{quote}"
