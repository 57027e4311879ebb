"""Patterns do the same in every Python that is supported, and none corrupts memory.

A possessive repeat of more than single characters matches what it should not before Python 3.11.5
(gh-100061, gh-106052). With a group in it, it corrupts memory or raises SystemError before Python
3.12.8 and 3.13.1 (gh-101955).
"""

import gc
import importlib
import pkgutil
import re
from collections.abc import Iterator
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

import pytest

import trindi
from trindi.protocol import markup
from trindi.protocol.element_reader import _READERS
from trindi.protocol.elements import ELEMENTS
from trindi.protocol.framing import _end_mark
from trindi.protocol.vector_reader import VectorReader

_ONE_CHARACTER = {
    _constants.ANY, _constants.IN, _constants.LITERAL, _constants.NOT_LITERAL, _constants.RANGE
}  # fmt: skip


def nodes(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each operator of a parsed pattern with its argument."""
    if isinstance(tree, _parser.SubPattern):
        for operator, argument in tree:
            yield operator, argument
            yield from nodes(argument)
    elif isinstance(tree, (list, tuple)):
        for part in tree:
            yield from nodes(part)


def is_safe(pattern: str | bytes, flags: int = 0) -> bool:
    for operator, argument in nodes(_parser.parse(pattern, flags)):
        if operator is _constants.ATOMIC_GROUP:
            return False
        if operator is _constants.POSSESSIVE_REPEAT:
            _, _, repeated = argument
            if [one for one, _ in repeated if one in _ONE_CHARACTER] != [repeated[0][0]]:
                return False
    return True


def is_ours(thing: Any) -> bool:
    """Whether it may hold patterns of trindi's: a container, or a thing that trindi has made."""
    made_by = (getattr(thing, "__module__", None), type(thing).__module__)
    return isinstance(thing, (dict, list, tuple)) or any(
        isinstance(name, str) and name.startswith("trindi.") for name in made_by
    )


def patterns() -> list[re.Pattern[Any]]:
    """Return every pattern that a module of trindi holds, or makes for an element."""
    left: list[Any] = [_end_mark(name) for name in ELEMENTS]
    left += (_READERS[name.encode()] for name in ELEMENTS)
    for module in pkgutil.walk_packages(trindi.__path__, "trindi."):
        if not module.name.endswith("__main__"):
            left.append(vars(importlib.import_module(module.name)))
    found, seen = [], {id(left)}
    while left:
        thing = left.pop()
        if isinstance(thing, re.Pattern):
            found.append(thing)
        elif id(thing) not in seen and is_ours(thing):
            seen.add(id(thing))
            left += gc.get_referents(thing)
    return found


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("[a-z]*+x++[^y]?+.{2,3}+", True),
        ("(a*+)*", True),
        ("(?:ab)*+", False),
        ("(a)*+", False),
        ("((x)|y|z)*+", False),
        ("(?:a|(?:b(?:cd)++))", False),
        ("(?=(?:ab){2}+)", False),
        ("(?>a*)", False),
    ],
)
def test_what_is_safe(pattern: str, expected: bool) -> None:
    assert is_safe(pattern) is expected


def test_only_repeats_of_single_characters_are_possessive() -> None:
    found = {each.pattern: each.flags for each in patterns()}
    assert {markup.HEAD.pattern, VectorReader(ELEMENTS["newTextVector"])._rest.pattern} <= {*found}
    assert [pattern for pattern, flags in found.items() if not is_safe(pattern, flags)] == []
