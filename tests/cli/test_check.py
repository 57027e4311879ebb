"""`trindi check` as a user has it: what it takes, its report, and its exit status."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from tests.kit.processes import (
    DEADLINE,
    EXAMPLES,
    free_port,
    run_python,
    start_python,
    wait_until,
)
from tests.kit.terminal import Terminal, plain
from trindi.cli import main
from trindi.cli.check import show_steps
from trindi.conformance import RULES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from click.testing import Result


ERASE = "\x1b[2K"

LED = str(EXAMPLES / "led.py")

# Answers, and breaks a rule: a state that there is not.
BROKEN = """\
#!{python}
import sys
for line in sys.stdin:
    if "getProperties" in line:
        print("<defLightVector device='D' name='N' label='' group='' state='Okay'>", end="")
        print("<defLight name='L' label=''>Ok</defLight></defLightVector>", flush=True)
"""


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", sys.path.copy())
    before = sys.modules.copy()
    yield
    for name in sys.modules.keys() - before.keys():
        del sys.modules[name]


@pytest.fixture
def program(tmp_path: Path) -> str:
    """A program that ends at once."""
    path = tmp_path / "ends"
    path.write_text(f"#!{sys.executable}\nimport sys\nsys.exit(' '.join(sys.argv[1:]) or 'oh')\n")
    path.chmod(0o755)
    return str(path)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["check", *arguments])


def refusal(*arguments: str) -> str:
    """The one line of an error."""
    result = invoke(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    return line.removeprefix("Error: ")


# What cannot be checked --------------------------------------------------------------------------


def test_a_program_that_is_not_there() -> None:
    expected = "there is no program no_such_driver; a server is named HOST:PORT"
    assert refusal("no_such_driver") == expected
    assert refusal("observatory:indi") == expected.replace("no_such_driver", "observatory:indi")


def test_a_file_that_is_no_program(tmp_path: Path) -> None:
    path = tmp_path / "driver"
    path.write_text("garbage\n")
    assert refusal(str(path)) == f"{path} is not executable"
    path.chmod(0o755)
    assert refusal(str(path)) == f"cannot start {path}: {os.strerror(errno.ENOEXEC)}"


def test_a_python_file_that_makes_no_driver(tmp_path: Path) -> None:
    path = tmp_path / "empty.py"
    assert refusal(str(path)) == f"there is no file {path}"
    path.write_text("")
    assert refusal(str(path)) == f"{path} has no function make_driver"
    assert refusal(f"{path}:other") == f"{path} has no function other"


def test_a_python_file_that_makes_two_drivers() -> None:
    line = refusal(str(EXAMPLES / "two_drivers.py"))
    assert line.endswith(
        "makes 2 drivers, and a program is one: use trindi serve, and check HOST:PORT"
    )


def test_nobody_listens() -> None:
    port = free_port()
    reason = os.strerror(errno.ECONNREFUSED)
    assert refusal(f"127.0.0.1:{port}") == f"cannot connect to 127.0.0.1:{port}: {reason}"
    assert refusal(f":{port}") == f"cannot connect to localhost:{port}: {reason}"
    assert refusal("--port", str(port)) == f"cannot connect to localhost:{port}: {reason}"
    assert refusal("--host", "127.0.0.1", "--port", str(port)).endswith(reason)
    assert refusal(f"[::1]:{port}").startswith(f"cannot connect to [::1]:{port}: ")
    assert refusal("--host", "a..b").startswith("cannot connect to a..b:7624: ")


def test_what_is_no_setting(program: str) -> None:
    for text, reason in (
        ("A.B=1", "'A.B=1' is not DEVICE.VECTOR.MEMBER"),
        ("A.B.C", "'A.B.C' is not DEVICE.VECTOR.MEMBER=VALUE"),
        ("A.1.B.C=1", "'A.1.B.C=1' is not DEVICE.VECTOR.MEMBER"),
        ("A.B.*=1", "'A.B.*=1' is to name one thing: no wildcards here"),
    ):
        assert reason in refusal(program, "--set", text)


def test_names_in_a_setting_may_have_quotes() -> None:
    line = refusal(LED, "--set", "'LED'.'LED_SWITCH'.'BLUE'=On")
    assert line == "cannot set 'LED.LED_SWITCH.BLUE=On': there is no member BLUE"
    line = refusal(LED, "--set", "LED.'LED.SWITCH'.LED_ON=a=b")
    assert line == """cannot set 'LED."LED.SWITCH".LED_ON=a=b': there is no LED."LED.SWITCH\""""


def test_a_setting_that_cannot_be_made() -> None:
    line = refusal(LED, "--set", "LED.LED_SWITCH.BLUE=On")
    assert line == "cannot set 'LED.LED_SWITCH.BLUE=On': there is no member BLUE"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "name a PROGRAM or HOST:PORT"),
        (["localhost:7624", "--port", "7624"], "either a TARGET, or --host and --port"),
        (["localhost:7624", "argument"], "a server has no arguments"),
        (["localhost:0"], "there is no port 0"),
        (["localhost:65536"], "there is no port 65536"),
        (["--port", "0"], "'--port'"),
        ([LED, "--timeout", "0"], "'--timeout'"),
        ([LED, "--no-such-option"], "No such option"),
    ],
)
def test_wrong_usage(arguments: list[str], reason: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert reason in result.stderr.splitlines()[-1]


def test_a_mistake_is_one_line_to_a_shell_too() -> None:
    done = run_python("-m", "trindi", "check", "no_such_driver")
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(r"Error: .+\n", done.stderr)


# The report --------------------------------------------------------------------------------------


def test_a_program_that_is_no_driver(program: str) -> None:
    result = invoke(program, "--", "--some", "arguments")
    assert result.exit_code == 1
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0] == f"{program}, a program"
    title = "getProperties is answered by definitions (protocol §2)"
    place = lines.index(f"  fail  ask-all             {title}")
    said = "nothing was defined: it ended with exit status 1, and said: --some arguments"
    assert lines[place + 1] == f"        {said}"
    assert lines[-2] == "The check ended early: nothing was defined."
    assert lines[-1].endswith("it does not conform")
    shown = {line.split()[1] for line in lines if re.match(r"  (pass|warn|fail|n/a ) ", line)}
    assert shown == set(RULES)


def test_only_the_findings(program: str) -> None:
    lines = invoke(program, "--findings").stdout.splitlines()
    shown = [line.split()[1] for line in lines if re.match(r"  (pass|warn|fail|n/a ) ", line)]
    assert shown == ["ask-all"]
    assert "Asking for definitions" in lines
    assert "A server" not in lines


def test_as_json(tmp_path: Path) -> None:
    path = tmp_path / "broken"
    path.write_text(BROKEN.format(python=sys.executable))
    path.chmod(0o755)
    result = invoke(str(path), "--json", "--timeout", "0.5")
    assert result.exit_code == 1
    data: dict[str, Any] = json.loads(result.stdout)
    assert (data["target"], data["kind"], data["conforms"]) == (str(path), "program", False)
    rules = {each["rule"]: each for each in data["rules"]}
    assert rules.keys() == RULES.keys()
    assert rules["def-legal"]["verdict"] == "fail"
    assert rules["def-legal"]["seen"] == ["D.N has the state 'Okay'"]
    assert rules["def-legal"]["source"] == "protocol §2"
    assert sum(data["counts"].values()) == len(RULES)


def test_a_driver_that_conforms() -> None:
    result = invoke(LED)
    assert result.exit_code == 0, result.stdout
    assert f"{LED}, a program\n  LED: 2 properties\n" in result.stdout
    assert re.search(r"\n\d+ pass, 0 warn, 0 fail, \d+ n/a: it conforms\n$", result.stdout)


def test_without_what_others_crash_on() -> None:
    data = json.loads(invoke(LED, "--no-hostile", "--strict", "--json").stdout)
    assert data["conforms"]
    left_out = [each["rule"] for each in data["rules"] if each["seen"] == ["only with --hostile"]]
    assert "bad-nesting" in left_out
    assert "no-member" in left_out


def test_a_server(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = start_python("-m", "trindi", "serve", LED, "--port", "0", log=log)
    try:
        found = wait_until(
            lambda: re.search(r"^Serving .* port (\d+)", log.read_text(), re.MULTILINE), "it serves"
        )
        data = json.loads(invoke(f"localhost:{found[1]}", "--json", "--strict").stdout)
    finally:
        process.kill()
        process.wait()
    assert data["kind"] == "server"
    assert data["conforms"]
    assert data["devices"] == {"LED": ["LED_SWITCH", "LED_LIGHT"]}
    verdicts = {each["rule"]: each["verdict"] for each in data["rules"]}
    assert verdicts["two-clients"] == "pass"
    assert verdicts["bad-nesting"] == "n/a"
    assert verdicts["range"] == "n/a"


# Answers nothing, and says when it is asked.
WAITS = """\
#!{python}
import os, pathlib, sys
sys.stdin.readline()
pathlib.Path(__file__ + ".pid").write_text(f"{{os.getpid()}}\\n")
sys.stdin.read()
"""


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_ends_it_quietly_and_what_it_started(
    tmp_path: Path, signum: signal.Signals
) -> None:
    path = tmp_path / "waits"
    path.write_text(WAITS.format(python=sys.executable))
    path.chmod(0o755)
    log, note = tmp_path / "log", tmp_path / "waits.pid"
    process = start_python("-m", "trindi", "check", path, log=log)
    try:
        pid = wait_until(
            lambda: note.read_text() if note.exists() and note.stat().st_size else "", "it is asked"
        )
        process.send_signal(signum)
        assert process.wait(DEADLINE) == 128 + signum
    finally:
        process.kill()
        process.wait()
    assert log.read_text() == ""
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


# Meanwhile ---------------------------------------------------------------------------------------


def test_what_is_checked_is_told_line_by_line_where_that_is_wanted(program: str) -> None:
    result = invoke(program, "--findings", "-v")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"Starting: {program}",
        "Asking for definitions: ask-first",
        "Asking for definitions: ask-all",
    ]


def test_each_line_comes_once(capsys: pytest.CaptureFixture[str]) -> None:
    with show_steps(as_lines=True) as show_step:
        for what in ("write-answered", "write-partial", "write-answered"):
            show_step("Requests", what)
    assert capsys.readouterr().err == "Requests: write-answered\nRequests: write-partial\n"


@pytest.fixture
def run(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Terminal]:
    """Run it with a terminal in the place of standard error."""

    def start(*arguments: str, width: int = 80, term: str = "xterm-256color") -> Terminal:
        terminal.resize(width, 24)
        monkeypatch.setenv("TERM", term)
        monkeypatch.setattr(sys, "stderr", terminal.open("w"))
        with pytest.raises(SystemExit):
            main(["check", *arguments])
        return terminal

    return start


def test_in_a_terminal_one_line_shows_it_and_is_gone_in_the_end(
    program: str, run: Callable[..., Terminal], capsys: pytest.CaptureFixture[str]
) -> None:
    stderr = run(program, "--findings", width=30)
    said = wait_until(lambda: stderr.said if stderr.said.endswith(ERASE) else "", "it is gone")
    *lines, last = (plain(one).strip("\r\n") for one in said.split(ERASE))
    # It is as long as fits.
    assert lines[0] == f"Starting: {program}"[:29] + "…"
    assert list(dict.fromkeys(lines[1:])) == [
        "Asking for definitions: ask-f…",
        "Asking for definitions: ask-a…",
    ]
    assert last == ""
    assert stderr.is_restored
    assert "it does not conform" in capsys.readouterr().out


def test_a_mistake_stands_alone(run: Callable[..., Terminal]) -> None:
    stderr = run(LED, "--set", "LED.LED_SWITCH.BLUE=On")
    said = wait_until(lambda: stderr.said if stderr.said.endswith("\n") else "", "it is refused")
    assert said.rpartition(ERASE)[2].startswith("Error: cannot set ")


def test_a_terminal_that_can_do_nothing(program: str, run: Callable[..., Terminal]) -> None:
    stderr = run(program, term="dumb")
    print("end", file=sys.stderr, flush=True)
    assert wait_until(lambda: stderr.said, "it has ended") == "end\r\n"


def test_help_says_what_is_sent() -> None:
    text = " ".join(invoke("--help").stdout.split())
    for part in ("HOST:PORT", "--write", "--hostile", "--set", "--json", "Exit status", "moves"):
        assert part in text
