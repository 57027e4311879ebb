"""What a device says stays one text on one line of a terminal, whatever command prints it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.kit.cli import BRIEFLY, at, lines, trindi
from trindi.cli.check import print_report, show_steps
from trindi.cli.output import to_json
from trindi.conformance.report import Findings, Report
from trindi.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    from tests.kit.cli import Script

# Of C0, a decoder keeps line ends and tabs only.
NASTY = "one\nD.v.u=two \u009b2J\u009d0;t\u009c \u202e\u2028end"
SHOWN = r"one\nD.v.u=two \x9b2J\x9d0;t\x9c \u202e\u2028end"
DEVICE = "D\u009b\u202e"


def definition(kind: str, member: str, device: str = "D", message: str = "") -> bytes:
    said = f" message='{message}'" if message else ""
    start = f"<def{kind}Vector device='{device}' name='v' state='Ok' perm='rw'{said}>"
    return f"{start}{member}</def{kind}Vector>".encode()


TEXT = definition("Text", f"<defText name='t'>{NASTY}</defText>")
STRANGE = definition("Text", "<defText name='t'>x</defText>", DEVICE)


def is_safe(result: Result) -> bool:
    printed = result.stdout + result.stderr
    return visible(printed) == printed.replace("\n", r"\n")


def test_get_prints_one_line_for_each_value(script: Callable[..., Script]) -> None:
    server = script(TEXT)
    assert lines("get", *at(server), *BRIEFLY, "D") == [f"D.v.t={SHOWN}"]
    assert lines("get", *at(server), *BRIEFLY, "-1", "D.v.t") == [SHOWN]


@pytest.mark.parametrize("command", ["get", "watch"])
def test_json_is_exact_and_no_terminal_acts_on_it(
    script: Callable[..., Script], command: str
) -> None:
    waiting = BRIEFLY if command == "get" else ()
    result = trindi(command, *at(script(TEXT, 0.5)), *waiting, "--json", "D")
    assert is_safe(result)
    assert json.loads(result.stdout)["value"] == NASTY


def test_watch_prints_one_line_for_each_change(script: Callable[..., Script]) -> None:
    message = f"<message device='{DEVICE}' message='{NASTY}'/>".encode()
    result = trindi("watch", *at(script(TEXT + message, 0.5)), "--plain")
    # A line end in an attribute is a blank, as in XML.
    said = SHOWN.replace(r"\n", " ")
    assert result.stdout.splitlines() == [f"D.v.t={SHOWN}", rf"D\x9b\u202e: {said}"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["get", *BRIEFLY, f"{DEVICE}x.v.t"],
        ["wait", *BRIEFLY, "D.v.t == '1'"],
        ["set", *BRIEFLY, f"{DEVICE}.v.x=1"],
        ["save-blobs", *BRIEFLY, f"{DEVICE}.v", "."],
        ["record", "--duration", "0.5", "night\u009b.jsonl", DEVICE],
    ],
    ids=lambda value: " ".join(map(ascii, value)),
)
def test_an_error_that_names_what_a_device_says(
    script: Callable[..., Script],
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    command, *others = arguments
    result = trindi(command, *at(script(TEXT + STRANGE)), *others)
    assert is_safe(result), result.output
    assert result.stdout == ""
    assert r"\x9b" in result.stderr


def test_an_alert_that_says_it(script: Callable[..., Script]) -> None:
    alert = f"<setTextVector device='D' name='v' state='Alert' message='{NASTY}'/>".encode()
    server = script(TEXT, answers=alert)
    result = trindi("set", "--wait", *at(server), "D.v.t=1")
    assert result.exit_code == 1
    assert is_safe(result)
    assert r"\x9b2J" in result.stderr


def test_a_report_of_check_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    findings = Findings()
    findings.record("names", f"device {DEVICE}\nnames")
    report = Report(DEVICE, "program", {DEVICE: ("v",)}, findings.outcomes(), f"at {DEVICE}")
    for options in ({"findings": True}, {"findings": False}, {"as_json": True}):
        print_report(report, **{"as_json": False, "findings": False, "strict": False, **options})
        printed = capsys.readouterr().out
        assert visible(printed) == printed.replace("\n", r"\n")
        assert r"\u202e" in printed


@pytest.mark.parametrize("as_lines", [True, False])
def test_a_step_of_check_names_it(capsys: pytest.CaptureFixture[str], as_lines: bool) -> None:
    with show_steps(as_lines=as_lines) as show:
        show("Requests", DEVICE)
    assert not {"\u009b", "\u202e"} & set(capsys.readouterr().err)


def test_json_escapes_what_is_beyond_the_first_plane() -> None:
    text = "a\U000e0041\x7f\ud800é"
    assert to_json({"t": text}) == '{"t": "a\\udb40\\udc41\\u007f\\ud800é"}'
    assert json.loads(to_json([text], indent=2)) == [text]
