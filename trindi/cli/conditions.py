"""Conditions on the values of properties, as ``trindi wait`` takes them.

A condition has the grammar of a Python expression of comparisons, of which a few kinds of nodes
are allowed, and is never evaluated as Python. Names of members, texts and numbers are no Python
names: each becomes the name ``_0``, ``_1``, … before the text is parsed. They are separated by
blanks, parentheses and relations, so that ``a.b.c - 1`` calculates and ``a.b.c-1`` is a name.

A condition on a value that is not known (yet) is neither true nor false: None.
"""

from __future__ import annotations

import ast
import operator
import re
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate, groupby, pairwise
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import click

from trindi.cli.addresses import Address, AddressError, parse_address, split
from trindi.protocol import State, SwitchState, is_unknown, parse_number
from trindi.visible import join_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Value: TypeAlias = float | str
Values: TypeAlias = "Mapping[str, Value | None]"

_MAX_DEPTH: Final = 50  # parentheses, and "not", within each other
_TOO_DEEP: Final = "it is nested too deeply"
_STATES: Final = frozenset([*SwitchState, *State])
_OPERATIONS: Final[Mapping[type[ast.AST], Callable[..., Any]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_INSTEAD: Final = {"=": "==", "!": "not", "&": "and", "&&": "and", "|": "or", "||": "or"}
"""What to write instead of the signs of other languages."""

_OPERAND: Final = r"""(?: "[^"]*" | '[^']*' | [^\s()<>=!"'] )+"""
_TOKEN: Final = re.compile(
    rf"""
    (?P<sign>
        [<>=!]=? | [()] | abs(?=\s*\()
      | (?: [-+*/%] | &&? | \|\|? | (?i:and|or|not) ) (?![^\s()<>=!])
    )
  | (?P<operand> {_OPERAND} )
  | (?P<unclosed> ["'].* )
    """,
    re.VERBOSE | re.DOTALL,
)
_FINISHED: Final = re.compile(rf"(?: [\s()<>=!] | {_OPERAND} (?=[\s()<>=!]) )*", re.VERBOSE)
_SPECIAL: Final = re.compile(r"""[\s()<>=!"'.*]""")


class ConditionError(click.UsageError):
    """A text is no condition, or compares what cannot be compared: wrong usage, exit status 2."""


class Literal(str):
    """A text of the condition itself: it never changes."""

    __slots__ = ()


def parse_condition(text: str) -> Condition:
    tokens: list[str] = []
    names: list[str] = []
    operands: dict[str, Value | Address] = {}
    for kind, group in groupby(_TOKEN.finditer(text), lambda found: found.lastgroup):
        *_, last = found = list(group)
        run = [one[0] for one in found]
        if kind == "unclosed":
            raise ConditionError(f"a quote is not closed: {run[0]}")
        if kind == "operand":
            name = f"_{len(names)}"
            is_called = text[last.end() :].lstrip().startswith("(")
            operands[name] = _operand(run, names[-1] if names else "", is_called=is_called)
            names.append(name)
        else:
            names += map(_sign, run)
        tokens += run
    condition = Condition(_parse(names, tokens), operands)
    # The structure is the same for all values: what is wrong with it is found at once.
    condition.holds(lambda _: None)
    return condition


def _sign(token: str) -> str:
    instead = _INSTEAD.get(token, token.lower())
    if instead != token:
        raise ConditionError(f"{token!r} is not expected there: write {instead}")
    return token


def _operand(run: Sequence[str], after: str, *, is_called: bool) -> Value | Address:
    """Read an operand; several without a sign between them are an error."""
    token, operand = run[0], _read(run[0])
    if len(run) > 1:
        if operand is not None and after[-1:] in {"<", ">", "="}:
            raise ConditionError(f"{run[1]!r} is not expected there")
        raise _unquoted(" ".join(run))
    if operand is not None:
        return operand
    if is_called and token.isidentifier():
        raise ConditionError(f"{token!r} is no function: there is only abs()")
    hint = "quote texts, and names that have blanks"
    if token.capitalize() in _STATES:
        hint = f"write {token.capitalize()}"
    elif re.search(r"[-+*/%]", token):
        hint = "put blanks around + - * / %"
    raise ConditionError(f"{token!r} is no number and no DEVICE.VECTOR.MEMBER: {hint}")


def _read(token: str) -> Value | Address | None:
    """Read an operand; one that is quoted as a whole is a text."""
    is_quoted = token[0] in {'"', "'"} and token.index(token[0], 1) == len(token) - 1
    if is_quoted or token in _STATES:
        return Literal(token[1:-1] if is_quoted else token)
    with suppress(ValueError):
        return parse_number(token)
    with suppress(AddressError):
        return parse_address(token)
    return None


def _unquoted(text: str) -> ConditionError:
    """Return the error of a name, or a text, that was written with blanks."""
    quoted = f'"{text}"'
    with suppress(AddressError):
        parts, _ = split(text)
        if len(parts) == 3:
            quoted = write_address(part.name for part in parts)
    return ConditionError(f"quote what has a blank, within the quotes of the shell: '{quoted} ...'")


def _parse(names: Sequence[str], tokens: Sequence[str]) -> ast.expr:
    depths = accumulate((name in {"(", "not"}) - (name == ")") for name in names)
    if max(depths, default=0) > _MAX_DEPTH:
        raise ConditionError(_TOO_DEEP)
    source = " ".join(names)
    try:
        return ast.parse(source, mode="eval").body
    except SyntaxError as error:
        if "was never closed" in error.msg:
            raise ConditionError("a parenthesis is not closed") from None
        offset = error.offset or 0
        if not 0 < offset <= len(source):
            raise ConditionError("something is missing at its end") from None
        token = tokens[source.count(" ", 0, offset - 1)]
        raise ConditionError(f"{token!r} is not expected there") from None
    except (RecursionError, MemoryError):
        raise ConditionError(_TOO_DEEP) from None


@dataclass
class Condition:
    """A condition: an expression, and what each name in it stands for."""

    _tree: ast.expr
    _operands: Mapping[str, Value | Address]

    @property
    def addresses(self) -> list[Address]:
        return list(dict.fromkeys(o for o in self._operands.values() if isinstance(o, Address)))

    def holds(self, lookup: Callable[[Address], Value | None]) -> bool | None:
        """Return whether it is true; None where a value that it needs is not known."""
        values = {
            name: lookup(operand) if isinstance(operand, Address) else operand
            for name, operand in self._operands.items()
        }
        try:
            return self._truth(self._tree, values)
        except RecursionError:
            raise ConditionError(_TOO_DEEP) from None

    def _truth(self, node: ast.expr, values: Values) -> bool | None:
        match node:
            case ast.BoolOp(op=op, values=parts):
                truths = [self._truth(part, values) for part in parts]
                return _decide(truths, isinstance(op, ast.Or))
            case ast.UnaryOp(op=ast.Not(), operand=part):
                truth = self._truth(part, values)
                return None if truth is None else not truth
            case ast.Compare(left=left, ops=relations, comparators=others):
                pairs = zip(relations, pairwise([left, *others]), strict=True)
                return _decide([self._compare(one, *sides, values) for one, sides in pairs], False)
        # A value, which is calculated only to see what else is wrong with it.
        self._value(node, values)
        raise ConditionError("compare it with something: DEVICE.VECTOR.MEMBER > 15")

    def _compare(
        self, relation: ast.cmpop, left: ast.expr, right: ast.expr, values: Values
    ) -> bool | None:
        first, second = self._value(left, values), self._value(right, values)
        if first is None or second is None:
            return None
        first, second = self._like(first, second, right), self._like(second, first, left)
        if isinstance(first, str) is isinstance(second, str):
            return bool(_OPERATIONS[type(relation)](first, second))
        # A text of the device that is no number now.
        return isinstance(relation, ast.NotEq)

    def _value(self, node: ast.expr, values: Values) -> Value | None:
        """Return a value; None where it is not known, no number now, or divided by zero."""
        match node:
            case ast.Name(id=name) if name in values:
                known = values[name]
                return None if is_unknown(known) else known  # No reading is not known.
            case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _OPERATIONS:
                function, parts = _OPERATIONS[type(sign)], [left, right]
            case ast.UnaryOp(op=sign, operand=part) if type(sign) in _OPERATIONS:
                function, parts = _OPERATIONS[type(sign)], [part]
            case ast.Call(func=ast.Name(id="abs") as sign, args=[part]):
                function, parts = abs, [part]
            case _:
                raise ConditionError(f"{self._text(node)} is no value to compare")
        numbers = [self._number(part, values) for part in parts]
        if isinstance(sign, ast.Div | ast.Mod) and numbers[1] == 0 and not self._changes(parts[1]):
            raise ConditionError(f"{self._text(node)} divides by 0")
        if None not in numbers:
            with suppress(ZeroDivisionError):
                return float(function(*numbers))
        return None

    def _changes(self, node: ast.expr) -> bool:
        names = (one.id for one in ast.walk(node) if isinstance(one, ast.Name))
        return any(isinstance(self._operands.get(name), Address) for name in names)

    def _number(self, node: ast.expr, values: Values) -> float | None:
        value = self._value(node, values)
        if value is None or isinstance(value, float):
            return value
        with suppress(ValueError):
            return parse_number(value)
        if isinstance(value, StrEnum | Literal):
            raise ConditionError(f"{self._text(node)} is no number")
        return None

    def _like(self, value: Value, other: Value, other_node: ast.expr) -> Value:
        """Convert a value to the type of another one, if it has to be and can be."""
        if isinstance(other, StrEnum):
            with suppress(ValueError):
                return type(other)(str(value))
            kind = f"one of {', '.join(type(other))}"
        elif isinstance(other, float) and isinstance(value, str):
            with suppress(ValueError):
                return parse_number(value)
            if not isinstance(value, Literal):
                return value
            kind = "a number"
        else:
            return value
        never = f"now {written(other)}, and never {written(value)}"
        raise ConditionError(f"{self._text(other_node)} is {kind}, {never}")

    def _text(self, node: ast.expr) -> str:
        """Write a part of the condition as the user has."""
        return re.sub(r"_\d+", lambda name: written(self._operands[name[0]]), ast.unparse(node))


def _decide(truths: Sequence[bool | None], decisive: bool) -> bool | None:
    """Join truths with "and", which one False decides, or with "or", which one True decides."""
    return decisive if decisive in truths else None if None in truths else not decisive


def written(operand: Value | Address) -> str:
    if isinstance(operand, Address):
        return str(operand)
    return f"{operand:g}" if isinstance(operand, float) else repr(str(operand))


def start_of_operand(text: str) -> int:
    """Return where in an unfinished condition the operand begins that is being typed."""
    finished = _FINISHED.match(text)
    return finished.end() if finished else 0


def write_address(names: Iterable[str], quote: str = '"') -> str:
    return join_names(*names, special=_SPECIAL, quote=quote)
