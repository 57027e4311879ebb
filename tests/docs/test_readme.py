"""The README holds what a newcomer and CI take from it, and nothing that is not so."""

from __future__ import annotations

import re
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.kit.docs import DOCS, PAGES, ROOT, SNIPPETS, blocks
from trindi.cli import main
from trindi.cli.targets import load_drivers

if TYPE_CHECKING:
    from pathlib import Path

README = ROOT / "README.md"
FRONT = [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
MARKER = re.compile(r"<!-- command: (\w+) -->")


def commands() -> dict[str, str]:
    marked = [(MARKER.fullmatch(block.before), block) for block in blocks(README)]
    return {match[1]: block.text for match, block in marked if match}


def test_there_are_two_commands_of_one_line_each() -> None:
    assert list(commands()) == ["demo", "test"]
    assert all(text.count("\n") == 1 for text in commands().values())


def test_ci_runs_the_very_command_for_the_tests() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    function = re.search(r"^readme_command\(\) \{\n.*?^\}\n", script, re.M | re.S)
    assert function, ".ci/run does not read the README any more"
    assert "test_command=$(readme_command test)" in script
    assert 'eval "$test_command"' in script
    done = subprocess.run(
        ["bash", "-c", f"{function[0]}readme_command test"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == commands()["test"]


def test_the_command_for_the_tests_names_a_session_of_nox() -> None:
    assert commands()["test"].endswith(".venv/bin/nox -s tests\n")
    assert "def tests(" in (ROOT / "noxfile.py").read_text(encoding="utf-8")


def test_the_demo_serves_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    _, _, last = commands()["demo"].rpartition("&&")
    program, name, *arguments = shlex.split(last)
    assert (program, name) == (".venv/bin/trindi", "serve")
    context = main.commands["serve"].make_context("serve", arguments)
    assert context.params["port"] == 7624
    for target in context.params["targets"]:
        assert [list(driver) for driver in load_drivers(target)] == [["Thermostat"]]


def test_every_other_block_is_a_snippet() -> None:
    files = {path.read_text(encoding="utf-8") for path in SNIPPETS.iterdir() if path.is_file()}
    others = [block for block in blocks(README) if not MARKER.fullmatch(block.before)]
    assert len(others) == 3
    assert [block.text for block in others if block.text not in files] == []


@pytest.mark.parametrize("page", [*FRONT, *PAGES], ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#\s]+\.\w+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_and_the_first_page_lead_to_every_page() -> None:
    pages = {page for page in PAGES if page.parent == DOCS} | {DOCS / "decisions" / "index.md"}
    for start in (README, DOCS / "index.md"):
        links = re.findall(r"^- \[.+?\]\(([^)#]+\.md)\)", start.read_text(encoding="utf-8"), re.M)
        assert {start.parent / link for link in links} >= pages - {DOCS / "index.md"}
