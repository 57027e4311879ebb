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
from collections.abc import Callable
from enum import StrEnum
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import click

from trindi.cli.addresses import Address, AddressError, parse_address, split
from trindi.protocol import State, SwitchState, parse_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


Value: TypeAlias = float | str
Lookup: TypeAlias = Callable[[Address], Value | None]
"""Returns the value of a member; None where it is not known."""

_MAX_DEPTH: Final = 50
"""Parentheses, and "not", within each other."""
_TOO_DEEP: Final = "it is nested too deeply"

_STATES: Final = frozenset([*SwitchState, *State])

_COMPARE: Final[Mapping[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_CALCULATE: Final[Mapping[type[ast.AST], Callable[..., float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}

_RELATIONS: Final = frozenset(["==", "!=", "<", "<=", ">", ">="])
_OPERATORS: Final = frozenset("+-*/%")
_WORDS: Final = frozenset(["and", "or", "not"])

_INSTEAD: Final[Mapping[str, str]] = {
    "=": "==",
    "!": "not",
    "&": "and",
    "&&": "and",
    "|": "or",
    "||": "or",
    **{word: word for word in _WORDS},
}
"""What to write instead of the signs of other languages, and of words in capitals."""

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


class Literal(str):
    """A text of the condition itself: it never changes."""

    __slots__ = ()


# Parsing -----------------------------------------------------------------------------------------


def parse_condition(text: str) -> Condition:
    """Read a condition.

    Raises:
        ConditionError: the text is no condition.
    """
    tokens = _tokens(text)
    _check_words(tokens)
    operands: dict[str, Value | Address] = {}
    source = ""
    starts: list[int] = []
    for number, token in enumerate(tokens):
        starts.append(len(source))
        if _is_operand(tokens, number):
            operands[f"_{number}"] = _read(token)
            source += f"_{number} "
        else:
            source += f"{token} "
    condition = Condition(_parse(source, tokens, starts), operands)
    # The structure is the same for all values: what is wrong with it is found at once.
    condition.holds(lambda _: None)
    return condition


def _tokens(text: str) -> list[str]:
    text = text.rstrip()
    end = 0
    tokens: list[str] = []
    while end < len(text):
        found = _TOKEN.match(text, end)
        if found is None:
            raise ConditionError(f"a quote is not closed: {text[end:].strip()}")
        tokens.append(found[0].strip())
        end = found.end()
    return tokens


def _is_operand(tokens: Sequence[str], number: int) -> bool:
    token = tokens[number]
    if token == "abs":
        return tokens[number + 1 : number + 2] != ["("]
    return not (token in _RELATIONS or token in _OPERATORS or token in "()" or _instead(token))


def _instead(token: str) -> str:
    return _INSTEAD.get(token.lower(), "")


def _check_words(tokens: Sequence[str]) -> None:
    """Check what Python would report in words of its own: other signs, and names with blanks."""
    before = ""
    numbers = range(len(tokens))
    for is_operand, group in groupby(numbers, lambda number: _is_operand(tokens, number)):
        words = [tokens[number] for number in group]
        if is_operand:
            _check_run(words, before)
        elif wrong := [word for word in words if _instead(word) and word not in _WORDS]:
            raise _unexpected(wrong[0])
        before = words[-1]


def _check_run(run: Sequence[str], before: str) -> None:
    """Check operands that follow each other, without a sign between them."""
    if len(run) < 2:
        return
    if before in _RELATIONS:
        try:
            _read(run[0])
        except ConditionError:
            pass
        else:
            raise _unexpected(run[1])
    raise _unquoted(run)


def _unexpected(token: str) -> ConditionError:
    instead = _instead(token) if token not in _WORDS else ""
    hint = f": write {instead}" if instead else ""
    return ConditionError(f"{token!r} is not expected there{hint}")


def _unquoted(words: Sequence[str]) -> ConditionError:
    """Return the error of a name, or a text, that was written with blanks."""
    text = " ".join(words)
    try:
        parts, _ = split(text)
    except AddressError:
        parts = []
    quoted = write_address(part.name for part in parts) if len(parts) == 3 else f'"{text}"'
    return ConditionError(f"quote what has a blank, within the quotes of the shell: '{quoted} ...'")


def _read(token: str) -> Value | Address:
    """Read an operand; an operand that is quoted as a whole is a text."""
    quoted = _QUOTED.fullmatch(token)
    if quoted is not None:
        return Literal(quoted["text"])
    if token in _STATES:
        return Literal(token)
    try:
        return parse_number(token)
    except ValueError:
        pass
    try:
        return parse_address(token, 3)
    except AddressError:
        word = token.capitalize()
        hint = "quote texts, and names that have blanks"
        if word in _STATES:
            hint = f"write {word}"
        elif not _OPERATORS.isdisjoint(token):
            hint = "put blanks around + - * / %"
        raise ConditionError(
            f"{token!r} is no number and no DEVICE.VECTOR.MEMBER: {hint}"
        ) from None


def _parse(source: str, tokens: Sequence[str], starts: Sequence[int]) -> ast.expr:
    depth = 0
    for token in tokens:
        depth += (token in ("(", "not")) - (token == ")")
        if depth > _MAX_DEPTH:
            raise ConditionError(_TOO_DEEP)
    try:
        return ast.parse(source, mode="eval").body
    except SyntaxError as error:
        if "was never closed" in error.msg:
            raise ConditionError("a parenthesis is not closed") from None
        offset = error.offset or 0
        if not 0 < offset < len(source):
            raise ConditionError("something is missing at its end") from None
        raise _unexpected(tokens[sum(start < offset for start in starts) - 1]) from None
    except (RecursionError, MemoryError):
        raise ConditionError(_TOO_DEEP) from None


# Evaluating --------------------------------------------------------------------------------------


class Condition:
    """A condition: an expression, and what each name in it stands for."""

    def __init__(self, tree: ast.expr, operands: Mapping[str, Value | Address]) -> None:
        self._tree = tree
        self._operands = operands

    @property
    def addresses(self) -> list[Address]:
        """The members that it compares."""
        return list(dict.fromkeys(o for o in self._operands.values() if isinstance(o, Address)))

    def holds(self, lookup: Lookup) -> bool | None:
        """Return whether it is true; None where that is not known.

        Raises:
            ConditionError: it compares what cannot be compared.
        """
        try:
            return self._truth(self._tree, lookup)
        except RecursionError:
            raise ConditionError(_TOO_DEEP) from None

    def _truth(self, node: ast.expr, lookup: Lookup) -> bool | None:
        match node:
            case ast.BoolOp(op=ast.And(), values=parts):
                return _all(self._truth(part, lookup) for part in parts)
            case ast.BoolOp(values=parts):
                return _not(_all(_not(self._truth(part, lookup)) for part in parts))
            case ast.UnaryOp(op=ast.Not(), operand=part):
                return _not(self._truth(part, lookup))
            case ast.Compare(left=left, ops=relations, comparators=others):
                pairs = zip(relations, pairwise([left, *others]), strict=True)
                return _all(self._compare(type(one), *sides, lookup) for one, sides in pairs)
        # A value, which is calculated only to see what else is wrong with it.
        self._value(node, lookup)
        raise ConditionError("compare it with something: DEVICE.VECTOR.MEMBER > 15")

    def _compare(
        self, relation: type[ast.cmpop], left: ast.expr, right: ast.expr, lookup: Lookup
    ) -> bool | None:
        first, second = self._value(left, lookup), self._value(right, lookup)
        if first is None or second is None:
            return None
        first, second = self._like(first, second, right), self._like(second, first, left)
        if isinstance(first, str) is isinstance(second, str):
            return _COMPARE[relation](first, second)
        # A text of the device that is no number now.
        return relation is ast.NotEq

    def _value(self, node: ast.expr, lookup: Lookup) -> Value | None:
        match node:
            case ast.Name(id=name) if name in self._operands:
                value = self._operands[name]
                return lookup(value) if isinstance(value, Address) else value
            case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _CALCULATE:
                return self._calculate(_CALCULATE[type(sign)], [left, right], lookup)
            case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _CALCULATE:
                return self._calculate(_CALCULATE[type(sign)], [operand], lookup)
            case ast.Call(func=ast.Name(id="abs"), args=[operand]):
                return self._calculate(abs, [operand], lookup)
        raise ConditionError(f"{self._text(node)} is no value to compare")

    def _calculate(
        self, function: Callable[..., float], nodes: Sequence[ast.expr], lookup: Lookup
    ) -> float | None:
        """Return a result; None where an operand is unknown, no number now, or a zero divisor."""
        numbers = [self._number(node, lookup) for node in nodes]
        if None in numbers:
            return None
        try:
            return function(*numbers)
        except ZeroDivisionError:
            return None

    def _number(self, node: ast.expr, lookup: Lookup) -> float | None:
        value = self._value(node, lookup)
        if value is None or isinstance(value, float):
            return value
        try:
            return parse_number(value)
        except ValueError:
            if isinstance(value, StrEnum | Literal):
                raise ConditionError(f"{self._text(node)} is no number") from None
            return None

    def _like(self, value: Value, other: Value, other_node: ast.expr) -> Value:
        """Convert a value to the type of another one, if it has to be and can be."""
        convert: Callable[[str], Value]
        if isinstance(other, StrEnum):
            convert, kind, can_change = type(other), f"one of {', '.join(type(other))}", False
        elif isinstance(other, float) and isinstance(value, str):
            convert, kind, can_change = parse_number, "a number", not isinstance(value, Literal)
        else:
            return value
        try:
            return convert(str(value))
        except ValueError:
            if can_change:
                return value
            never = f"now {written(other)}, and never {written(value)}"
            raise ConditionError(f"{self._text(other_node)} is {kind}, {never}") from None

    def _text(self, node: ast.expr) -> str:
        """Write a part of the condition as the user has."""

        def write(name: re.Match[str]) -> str:
            operand = self._operands[name[0]]
            return str(operand) if isinstance(operand, Address) else written(operand)

        return re.sub(r"_\d+", write, ast.unparse(node))


def _not(truth: bool | None) -> bool | None:
    return None if truth is None else not truth


def _all(truths: Iterable[bool | None]) -> bool | None:
    # A list: each is looked at, as each may be wrong.
    known = list(truths)
    return False if False in known else None if None in known else True


# Writing -----------------------------------------------------------------------------------------


def written(value: Value) -> str:
    """Write a value as it would stand in a condition."""
    return f"{value:g}" if isinstance(value, float) else repr(str(value))


def start_of_operand(text: str) -> int:
    """Return where in an unfinished condition the operand begins that is being typed."""
    begin = end = 0
    while (found := _TOKEN.match(text, end)) is not None:
        begin = found.end() if found["operand"] is None else found.start("operand")
        end = found.end()
    # After the last token come blanks, or a quote that is still open, or both.
    rest = text[end:]
    return len(text) - len(rest.lstrip()) if rest[:1].isspace() else begin


def write_address(names: Iterable[str], quote: str = '"') -> str:
    """Write an address as it would stand in a condition."""
    return ".".join(name if _PLAIN.fullmatch(name) else _quoted(name, quote) for name in names)


def _quoted(name: str, quote: str) -> str:
    if quote in name:
        quote = "'" if quote == '"' else '"'
    return f"{quote}{name}{quote}"
