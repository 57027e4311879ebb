"""What the page on conformance says of rules, options and verdicts is what the code says."""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from tests.kit.docs import DOCS, SNIPPETS, code, table
from trindi.cli import main
from trindi.conformance import GROUPS, RULES, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE = DOCS / "conformance.md"


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module that makes the tables of the page."""
    monkeypatch.syspath_prepend(str(DOCS))
    yield importlib.import_module("checks")
    del sys.modules["checks"]


def test_the_rules_stand_in_the_page(checks: Any) -> None:
    text = checks.rules_table()
    assert text in PAGE.read_text(encoding="utf-8")
    assert re.findall(r"^### (.+)$", text, re.MULTILINE) == list(GROUPS)
    rows = re.findall(r"^\| `([\w-]+)` \| (.+?) \| (§.+?) \| (fail|warn) \| (.+) \|$", text, re.M)
    assert [row[0] for row in rows] == list(RULES)
    for name, title, source, breach, needs in rows:
        rule = RULES[name]
        assert (title, source, breach) == (rule.title, rule.source, rule.breach)
        assert needs.replace("`", "") == (", ".join(rule.needs) or "always")


def test_the_findings_are_of_rules_that_there_are(checks: Any) -> None:
    version, findings = checks.written_findings()
    assert re.fullmatch(r"\d+(\.\d+)+", version)
    assert {each.program for each in findings} == set(checks.SIMULATORS)
    assert {each.rule for each in findings} <= set(RULES)
    for each in findings:
        assert each.verdict in (RULES[each.rule].breach, Verdict.WARN, Verdict.FAIL)


def test_the_options_are_those_of_the_command() -> None:
    shown = [code(row[0]).split()[0] for row in table(PAGE, "check")]
    params = main.commands["check"].params
    options = [param.opts[-1] for param in params if param.opts[-1].startswith("-")]
    assert sorted(shown) == sorted(options)
    defaults = {code(row[0]).split()[0]: row[1] for row in table(PAGE, "check")}
    timeout = next(param for param in params if param.name == "timeout")
    assert float(defaults["--timeout"]) == timeout.default


def test_the_verdicts_are_those_of_the_report() -> None:
    assert [code(row[0]) for row in table(PAGE, "verdicts")] == [str(each) for each in Verdict]


def test_the_check_of_the_thermostat_is_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.chdir(tmp_path)
    shutil.copy(SNIPPETS / "thermo.py", tmp_path)
    (tmp_path / "thermo.py").chmod(0o644)
    command, _, output = (SNIPPETS / "check.console").read_text(encoding="utf-8").partition("\n")
    _, _, *arguments = shlex.split(command)
    result = CliRunner().invoke(main, arguments)
    sys.modules.pop("thermo", None)
    assert result.stdout == output
    assert result.exit_code == 0
