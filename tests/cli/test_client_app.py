"""How every command that talks to a server ends: one line, a status, and nothing else."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
import trio

from tests.kit.cli import at, lines, refusal, trindi
from tests.kit.processes import DEADLINE, ENVIRONMENT, ROOT, free_port, wait_until
from trindi import __version__
from trindi.cli import client_app, main

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    from tests.kit.cli import Script, Served

COMMANDS = [
    ["get"],
    ["set", "A.b.c=1"],
    ["wait", "A.b.c > 1"],
    ["watch"],
    ["save-blobs", "A.b", "."],
    ["record", "night.jsonl"],
]


def shell(command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash, in which `trindi` is the command."""
    script = f'set -o pipefail; trindi() {{ "{sys.executable}" -m trindi "$@"; }}; {command}'
    return subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT,
        env=ENVIRONMENT | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2 * DEADLINE,
        check=False,
    )


# It cannot connect -------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_nobody_listens(command: list[str]) -> None:
    port = free_port()
    said = refusal(command[0], "--host", "127.0.0.1", "--port", str(port), *command[1:])
    assert said == f"cannot connect to 127.0.0.1:{port}: Connection refused"


def test_a_host_of_several_addresses() -> None:
    port = free_port()
    said = refusal("get", "--port", str(port))
    assert said == f"cannot connect to localhost:{port}: Connection refused"


def test_a_host_that_cannot_be_one() -> None:
    said = refusal("get", "--host", "a..b")
    assert said.startswith("cannot connect to a..b:7624: ")


def test_a_host_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    async def look_up(*_arguments: object, **_options: object) -> None:
        raise trio.socket.gaierror(trio.socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(trio.socket, "getaddrinfo", look_up)
    said = refusal("get", "--host", "observatory")
    assert said == "cannot connect to observatory:7624: Name or service not known"


async def test_a_host_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def open_nothing(_host: str, _port: int) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(client_app, "open_tcp", open_nothing)
    said = "^cannot connect to localhost:7624: no answer within 0.01 s$"
    with pytest.raises(click.ClickException, match=said):
        await client_app.connect("localhost", 7624, timeout=0.01)


# Wrong usage -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [["--no-such"], ["nonsense"], *([*one, "--no-such"] for one in COMMANDS), ["get", "-p", "x"]],
    ids=" ".join,
)
def test_wrong_usage_is_one_line_and_2(arguments: list[str]) -> None:
    assert re.search(r" \(see main.* --help\)$", refusal(*arguments, status=2))


@pytest.mark.parametrize(
    "command",
    [
        ["get", "-t", "nan"],
        ["wait", "A.b.c > 1", "-t", "NaN"],
        ["record", "x", "--duration", "nan"],
        ["save-blobs", "A.b", ".", "-t", "-1"],
    ],
    ids=" ".join,
)
def test_times_are_numbers(command: list[str]) -> None:
    assert "--" in refusal(*command, status=2)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["serve", "x", "--port", "70000"], "70000 is not in the range 0<=x<=65535"),
        (["serve", "x", "--max-connections", "0"], "0 is not in the range x>=1"),
        (["get", "--port", "0"], "0 is not in the range 1<=x<=65535"),
        (["replay", __file__, "--speed", "0"], "0.0 is not in the range x>0"),
        (["check", "x", "-t", "nan"], "'nan' is not a number"),
    ],
    ids=" ".join,
)
def test_what_is_out_of_range_is_told_with_the_range(command: list[str], said: str) -> None:
    assert said in refusal(*command, status=2)


def test_without_a_command_there_is_help() -> None:
    result = trindi()
    assert result.exit_code == 2
    assert "Examples:" in result.output


def test_help_has_each_command_once() -> None:
    result = trindi("--help")
    assert result.exit_code == 0
    for name, command in main.commands.items():
        assert len(re.findall(rf"^  {name} +\S", result.stdout, re.MULTILINE)) == 1
        page = trindi(name, "--help")
        assert page.exit_code == 0
        # Names for people, and each no longer than its line.
        assert not re.search("RANGE|TEXT|x[<>]=", page.stdout)
        assert max(map(len, page.stdout.splitlines())) <= 80
        assert command.get_short_help_str(200).endswith(".")


# The version -------------------------------------------------------------------------------------


def test_the_version() -> None:
    assert lines("--version") == [f"trindi, version {__version__}"]


def test_the_version_is_that_of_the_package() -> None:
    assert metadata.version("trindi") == __version__


# Ctrl-C and closed pipes -------------------------------------------------------------------------


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_quietly(script: Callable[..., Script], signum: signal.Signals) -> None:
    server = script(b"")
    with subprocess.Popen(
        [sys.executable, "-m", "trindi", "get", *at(server), "-t", "3600"],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            wait_until(lambda: b"getProperties" in server.heard, "it has asked")
            process.send_signal(signum)
            output, _ = process.communicate(timeout=DEADLINE)
        finally:
            process.kill()
    assert process.returncode == 128 + signum
    assert output == b""


def test_ctrl_c_before_there_is_anything_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(trio, "run", interrupt)
    result = trindi("get")
    assert result.exit_code == 130
    assert result.output == ""


def test_a_pipe_that_is_closed(served: Served) -> None:
    name, _, port = at(served)[1:]
    done = shell(f"trindi get --host {name} --port {port} | true; echo ${{PIPESTATUS[*]}}")
    assert done.stderr == ""
    assert done.stdout == "1 0\n"


def test_a_disk_that_is_full(served: Served) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    name, _, port = at(served)[1:]
    done = shell(f"trindi get --host {name} --port {port} >/dev/full")
    assert done.returncode == 1
    assert done.stderr == f"Error: {os.strerror(28)}\n"


def test_a_terminal_that_has_not_all_characters(script: Callable[..., Script]) -> None:
    text = (
        "<defTextVector device='D' name='v' state='Ok' perm='rw'>"
        "<defText name='t'>20 → 30</defText></defTextVector>"
    )
    server = script(text.encode())
    done = shell(
        f"trindi get --host 127.0.0.1 --port {server.port} D.v.t", PYTHONIOENCODING="latin-1"
    )
    assert (done.stdout, done.stderr, done.returncode) == ("D.v.t=20 ? 30\n", "", 0)


class Reset(trio.abc.HalfCloseableStream):
    """The other side has reset the connection already."""

    async def send_eof(self) -> None:
        raise trio.BrokenResourceError

    async def send_all(self, data: object) -> None:
        raise AssertionError

    async def wait_send_all_might_not_block(self) -> None:
        raise AssertionError

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        raise AssertionError

    async def aclose(self) -> None:
        raise AssertionError


async def test_who_has_gone_is_not_waited_for(mock_clock: MockClock) -> None:
    # The clock stands still: it would wait for ever.
    with pytest.raises(click.ClickException, match="requests may be lost"):
        await client_app.say_farewell(Reset())


class Moving(Reset):
    """What was sent leaves slowly."""

    async def send_eof(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.sleep_forever()
        raise AssertionError


@pytest.mark.parametrize("stops", [False, True])
async def test_a_slow_line_gets_its_time_as_long_as_it_moves(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, stops: bool
) -> None:
    def waiting(_stream: object) -> int:
        return max(0, 600_000 - 1000 * int(min(trio.current_time(), 300 if stops else 1e9)))

    monkeypatch.setattr(client_app, "unacknowledged", waiting)
    if stops:
        with pytest.raises(click.ClickException, match="taken nothing more within 10 s"):
            await client_app.say_farewell(Moving())
        assert 300 < trio.current_time() < 320
    else:
        await client_app.say_farewell(Moving())
        assert 600 <= trio.current_time() < 610


# A server that turns clients away ----------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["get"],
        ["get", "Bench.target.x"],
        ["set", "Bench.target.x=1"],
        ["wait", "Bench.target.x == 1"],
        ["watch", "--plain"],
        ["save-blobs", "Bench.frame", "."],
        ["record", "night.jsonl"],
    ],
    ids=" ".join,
)
def test_a_full_server_says_so(
    script: Callable[..., Script],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    full = "the server has its 100 clients already"
    server = script(f"<message message='[ERROR] {full}'/>".encode(), stays=0)
    command, *others = arguments
    result = trindi(command, *at(server), *others)
    assert result.exit_code == 1
    *_, said = result.stderr.splitlines()
    assert said.startswith("Error: ")
    assert said.endswith(full)


# What a command runs into ------------------------------------------------------------------------


def test_what_any_of_its_tasks_runs_into_is_one_line(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_text: str, **_options: bool) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(click, "echo", fail)
    with pytest.raises(click.ClickException, match="No space left on device"):
        main(["get", *at(served)], standalone_mode=False)


def test_a_reader_that_has_gone_is_clicks_own_matter(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_text: str, **_options: bool) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(click, "echo", fail)
    with pytest.raises(BrokenPipeError):
        main(["get", *at(served)], standalone_mode=False)


def test_a_mistake_of_ours_is_not_hidden(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_text: str, **_options: bool) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(click, "echo", fail)
    with pytest.raises(ExceptionGroup) as raised:
        main(["get", *at(served)], standalone_mode=False)
    assert raised.group_contains(ZeroDivisionError)


@pytest.mark.parametrize(("name", "said"), [("TRINDI_PORT", "abc"), ("TRINDI_PORT", "70000")])
def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str, said: str) -> None:
    monkeypatch.setenv(name, said)
    assert refusal("get", status=2).startswith(f"Invalid value for the variable {name}: ")
    assert "'--port'" in refusal("get", "--port", said, status=2)
