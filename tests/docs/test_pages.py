"""What the pages say of the code (bounds, tables, names, options) is what the code says."""

from __future__ import annotations

import ast
import importlib
import inspect
import operator
import re
from typing import TYPE_CHECKING, Any

import pytest

import trindi
import trindi.recording
from tests.kit.docs import DOCS, ROOT, code, table
from trindi.cli import main
from trindi.protocol import ELEMENTS, format_number, parse_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    Load = Callable[[str], ModuleType | Any]

BOUNDS = DOCS / "backpressure.md"
TABLES = re.findall(r"<!-- table: (\w+) -->", BOUNDS.read_text(encoding="utf-8"))
UNITS = {"": 1, "s": 1, "Ki": 1024, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


# Bounds ----------------------------------------------------------------------------------------


def bounds() -> dict[str, tuple[float, str]]:
    """Return name to default and how to change it, from the tables of the page."""
    found = {}
    for _what, name, default, change in (row for each in TABLES for row in table(BOUNDS, each)):
        amount, _, unit = default.partition(" ")
        found[code(name)] = (float(amount) * UNITS[unit], change)
    return found


def resolve(dotted: str) -> Any:
    """Return a constant of a module, or the default of a parameter of a class."""
    place, _, name = dotted.rpartition(".")
    if place == "trindi.IPyServer":
        return inspect.signature(trindi.IPyServer).parameters[name].default
    return getattr(importlib.import_module(place), name)


def test_each_bound_has_the_default_that_the_page_says() -> None:
    assert {name: resolve(name) for name in bounds()} == {
        name: default for name, (default, _change) in bounds().items()
    }


def constants() -> Iterator[str]:
    """Yield the names of the public numeric constants of trindi's modules, read from the source."""
    for path in sorted((ROOT / "trindi").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                name = node.target.id
                value = getattr(importlib.import_module(module), name, None)
                # NaN is a value of a number, and bounds nothing.
                if name.isupper() and name[0] != "_" and isinstance(value, (int, float)):
                    if value != value:  # noqa: PLR0124
                        continue
                    yield name


def test_the_page_leaves_no_bound_out() -> None:
    named = {name.rpartition(".")[2] for name in bounds()}
    assert set(constants()) - named == set()


# What takes bounds, and those of its parameters that are none.
CHANGED_WITH: dict[str, tuple[Any, set[str]]] = {
    # By default a driver is tried again for ever.
    "IPyServer": (trindi.IPyServer, {"drivers", "host", "port", "max_restarts"}),
    "IPyClient": (
        trindi.IPyClient,
        {"host", "port", "ask_for", "reconnect", "connect", "runtime"},
    ),
    "record": (trindi.recording.record, {"stream", "file", "side", "now"}),
}


@pytest.mark.parametrize("name", CHANGED_WITH)
def test_each_bound_that_can_be_changed_is_a_parameter(name: str) -> None:
    callable_, kept = CHANGED_WITH[name]
    parameters = inspect.signature(callable_).parameters
    changed = {}
    for default, change in bounds().values():
        for match in re.finditer(rf"`{name}\(…, (\w+)=…\)`", change):
            changed[match[1]] = default
    assert {one: parameters[one].default for one in changed} == changed
    assert changed.keys() == parameters.keys() - kept


def test_each_way_to_change_a_bound_is_one() -> None:
    for name, (_default, change) in bounds().items():
        assert change == "fixed" or re.search(r"`\w+\(…, \w+=…\)`", change), name


# The protocol ----------------------------------------------------------------------------------

PROTOCOL = DOCS / "protocol.md"


@pytest.mark.parametrize("row", table(PROTOCOL, "numbers"), ids=operator.itemgetter(0))
def test_a_number_is_read_as_the_page_says(row: list[str]) -> None:
    text, value = code(row[0]), row[1]
    if value == "refused":
        with pytest.raises(ValueError, match=re.escape(text)):
            parse_number(text)
    else:
        assert parse_number(text) == pytest.approx(float(value), rel=1e-12)


@pytest.mark.parametrize("row", table(PROTOCOL, "formats"), ids=" ".join)
def test_a_format_shows_what_the_page_says(row: list[str]) -> None:
    assert format_number(float(row[1]), code(row[0])) == code(row[2])


def test_the_table_of_elements_has_all_of_them(docs_tool: Load) -> None:
    rows = docs_tool("elements").elements_table().splitlines()[2:]
    assert len(rows) == len(ELEMENTS)
    for row, element in zip(rows, ELEMENTS.values(), strict=True):
        assert row in PROTOCOL.read_text(encoding="utf-8")
        assert row.startswith(f"| `{element.xml}` | `{element.cls.__name__}` | ")
        for attribute in element.attributes:
            assert attribute.xml in row
            assert attribute.field in row
        assert element.member in row


# Names and options -----------------------------------------------------------------------------

REFERENCE = DOCS / "reference.md"


def test_the_reference_has_every_public_name(docs_tool: Load) -> None:
    names = docs_tool("reference").all_names()
    shown = set(re.findall(r"^\| `(\w+)", REFERENCE.read_text(encoding="utf-8"), re.M))
    assert {name.name for name in names} - shown == set()
    assert {name.module for name in names} >= {
        "trindi",
        "trindi.conformance",
        "trindi.protocol",
        "trindi.recording",
        "trindi.testing",
    }
    offered = vars(trindi)["__all__"]
    assert set(offered) <= shown


def test_each_name_has_a_line_that_says_what_it_is() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.+`) \| (.*) \|$", text, re.M)
    assert [name for name, about in rows if not about] == []


def test_the_options_of_serve_are_those_of_the_page() -> None:
    shown = {code(row[0]): code(row[1]) for row in table(DOCS / "running.md", "serve")}
    options = {
        param.opts[-1]: str(param.default)
        for param in main.commands["serve"].params
        if param.opts[0][0] == "-"
    }
    assert shown == options


def test_the_decisions_are_numbered_without_a_gap() -> None:
    records = sorted((DOCS / "decisions").glob("[0-9]*.md"))
    heads = [record.read_text(encoding="utf-8").splitlines()[0] for record in records]
    assert [int(record.name[:4]) for record in records] == list(range(1, len(records) + 1))
    for number, head in enumerate(heads, start=1):
        assert head.startswith(f"# {number}. ")
    for record in records:
        for part in ("**In question.**", "**Chosen.**", "**What follows.**"):
            assert part in record.read_text(encoding="utf-8"), record.name
