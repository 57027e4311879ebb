"""The tree in CONTRIBUTING.md is that of the package."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

from tests.kit.docs import DOCS, ROOT

if TYPE_CHECKING:
    from pathlib import Path

PACKAGES = sorted(path.parent for path in (ROOT / "trindi").rglob("__init__.py"))
RECORD = next((DOCS / "decisions").glob("*-floors-of-the-house.md"))


def tree() -> dict[str, str]:
    """Return each path of the tree, with what is said of it."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    _, marker, rest = text.partition("<!-- tree -->\n```text\n")
    assert marker
    found: dict[str, str] = {}
    parents: list[str] = []
    for line in rest.partition("```")[0].splitlines():
        indent, name, about = re.fullmatch(r"( *)(\S+) *(.*)", line).groups()  # type: ignore[union-attr]
        parents = parents[: len(indent) // 2]
        found["".join([*parents, name])] = about
        if name.endswith("/"):
            parents.append(name)
    return found


def named() -> set[Path]:
    """Return what the tree names, in its own lines and in what it says of others."""
    found = {ROOT / path for path in tree()}
    for path, about in tree().items():
        folder = ROOT / path if path.endswith("/") else (ROOT / path).parent
        found |= {folder / other for other in re.findall(r"\b\w+\.py\b", about)}
    return found


def test_each_room_of_the_tree_is_there() -> None:
    assert [path for path in sorted(named()) if not path.exists()] == []


def test_each_module_is_in_the_tree() -> None:
    modules = {path for path in (ROOT / "trindi").rglob("*.py") if path.name[0] != "_"}
    assert sorted(modules - named()) == []


def test_each_package_is_in_the_tree() -> None:
    assert [package for package in PACKAGES if package not in named()] == []


def test_the_record_draws_the_floors_that_import_linter_checks() -> None:
    drawn = re.findall(r"^  (\w+)(?:/|\.py) .* (\d)$", RECORD.read_text(encoding="utf-8"), re.M)
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    floors = contracts["tool"]["importlinter"]["contracts"][0]["layers"]
    checked = {
        name: number
        for number, floor in enumerate(reversed(floors), start=1)
        for name in floor.split(" | ")
    }
    assert {name: int(number) for name, number in drawn} == checked


def test_the_record_names_modules_that_are_there() -> None:
    paths = re.findall(r"\b[a-z_]+/[a-z_/]+\.py\b", RECORD.read_text(encoding="utf-8"))
    assert paths
    assert [path for path in paths if not (ROOT / "trindi" / path).exists()] == []
