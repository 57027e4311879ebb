"""`trindi serve` as a user has it: one line and a status for each mistake, and a clean end."""

from __future__ import annotations

import errno
import logging
import os
import re
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import trio
from click.testing import CliRunner

from tests.kit.processes import (
    DEADLINE,
    ENVIRONMENT,
    EXAMPLES,
    run_python,
    start_python,
    wait_until,
)
from trindi.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

THERMOSTAT = str(EXAMPLES / "thermostat.py")

# Ends the server that it is part of as soon as it runs, the way a user would.
BRIEF = """
import signal
from trindi import Device, IPyDriver, TextMember, TextVector

class Brief(IPyDriver):
    async def hardware(self):
        signal.raise_signal(signal.{signal})

def make_driver():
    return Brief([Device("Brief", [TextVector("T", textmembers=[TextMember("t")])])])
"""


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", sys.path.copy())
    before = sys.modules.copy()
    root = logging.getLogger()
    handlers, level = root.handlers.copy(), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in sys.modules.keys() - before.keys():
        del sys.modules[name]


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["serve", *arguments])


def refusal(*arguments: str) -> str:
    """The one line of an error."""
    result = invoke(*arguments)
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    return line.removeprefix("Error: ")


# Mistakes ----------------------------------------------------------------------------------------


def test_a_target_that_is_not_there() -> None:
    assert refusal("missing.py") == "there is no file missing.py"
    assert refusal(THERMOSTAT, "missing.py") == "there is no file missing.py"


def test_a_device_in_two_drivers() -> None:
    expected = "device 'Thermostat' is in two drivers: give one of them another name"
    assert refusal(THERMOSTAT, str(EXAMPLES / "thermostat_target.py")) == expected
    assert refusal(THERMOSTAT, THERMOSTAT) == expected


@pytest.fixture
def taken_port() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield str(listener.getsockname()[1])


def test_a_port_in_use(taken_port: str) -> None:
    line = refusal(THERMOSTAT, "--host", "127.0.0.1", "--port", taken_port)
    assert line == f"cannot listen on 127.0.0.1 port {taken_port}: {os.strerror(errno.EADDRINUSE)}"


def test_a_port_that_is_for_the_administrator(monkeypatch: pytest.MonkeyPatch) -> None:
    # The tests may well be run by the administrator, to whom nothing is refused.
    async def refuse(port: int, **_options: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(trio, "open_tcp_listeners", refuse)
    line = refusal(THERMOSTAT, "--host", "127.0.0.1", "--port", "80")
    assert line == f"cannot listen on 127.0.0.1 port 80: {os.strerror(errno.EACCES)}"


def test_a_host_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    async def look_up(*_arguments: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(trio.socket, "getaddrinfo", look_up)
    line = refusal(THERMOSTAT, "--host", "observatory", "--port", "0")
    assert line == "cannot listen on observatory port 0: Name or service not known"


@pytest.mark.parametrize("host", ["a..b", "x" * 300, "192.0.2.1"])
def test_a_host_that_is_not_here(host: str) -> None:
    assert refusal(THERMOSTAT, "--host", host, "--port", "0").startswith(
        f"cannot listen on {host} port 0: "
    )


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [THERMOSTAT, "--port", "65536"],
        [THERMOSTAT, "--port", "-1"],
        [THERMOSTAT, "--port", "indi"],
        [THERMOSTAT, "--max-connections", "0"],
        [THERMOSTAT, "--log-level", "loud"],
        [THERMOSTAT, "--no-such-option"],
    ],
)
def test_wrong_usage(arguments: list[str]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("Error: ")


@pytest.mark.parametrize("target", ["missing.py", "no_such_module", "trindi:make_driver"])
def test_a_mistake_is_one_line_to_a_shell_too(target: str) -> None:
    done = run_python("-m", "trindi", "serve", target)
    assert done.returncode == 1
    assert done.stdout == ""
    assert re.fullmatch(r"Error: .+\n", done.stderr)


def test_the_traceback_is_there_for_who_wants_it(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def make_driver(): raise ValueError('no camera')")
    target = str(tmp_path / "broken.py")
    quiet = run_python("-m", "trindi", "serve", target)
    assert quiet.stderr == f"Error: make_driver of {target} has failed: ValueError: no camera\n"
    loud = run_python("-m", "trindi", "serve", target, "--log-level", "debug")
    assert "Traceback" in loud.stderr
    assert loud.stderr.endswith(quiet.stderr)


# Serving -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("signum", ["SIGTERM", "SIGINT"])
def test_it_says_what_it_serves_and_ends_cleanly(tmp_path: Path, signum: str) -> None:
    (tmp_path / "brief.py").write_text(BRIEF.format(signal=signum))
    result = invoke(str(tmp_path / "brief.py"), THERMOSTAT, "--host", "127.0.0.1", "--port", "0")
    assert result.exit_code == 0, result.output
    assert re.fullmatch(r"Serving Brief, Thermostat on 127\.0\.0\.1 port [1-9]\d*\n", result.stderr)
    assert result.stdout == ""


def test_help_names_every_option() -> None:
    result = invoke("--help")
    assert result.exit_code == 0
    for option in ("TARGET", "--host", "--port", "--max-connections", "--log-level"):
        assert option in result.stdout


class Serving:
    """`python -m trindi serve` as a process."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self.log = log
        self.process = start_python(
            "-m", "trindi", "serve", *arguments, "--host", "127.0.0.1", "--port", "0", log=log
        )

    def connect(self) -> socket.socket:
        def port() -> int | None:
            assert self.process.poll() is None, self.log.read_text()
            found = re.search(r"^Serving .* port (\d+)$", self.log.read_text(), re.MULTILINE)
            return int(found[1]) if found else None

        return socket.create_connection(("127.0.0.1", wait_until(port, "it serves")), DEADLINE)


def serving(tmp_path: Path, *arguments: str) -> Serving:
    return Serving(tmp_path / "log", *arguments)


def read_all(client: socket.socket, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        more = client.recv(65536)
        assert more, data
        data += more
    return data


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_ends_it_with_clients_connected(tmp_path: Path, signum: signal.Signals) -> None:
    server = serving(tmp_path, THERMOSTAT)
    try:
        with server.connect() as client:
            client.sendall(b"<getProperties version='1.7'/>")
            assert b'device="Thermostat"' in read_all(client, b"</defNumberVector>\n")
            server.process.send_signal(signum)
            assert server.process.wait(DEADLINE) == 0
            assert client.recv(1) == b""
    finally:
        server.process.kill()
        server.process.wait()
    assert len(server.log.read_text().splitlines()) == 1


def test_it_keeps_to_its_number_of_clients(tmp_path: Path) -> None:
    server = serving(tmp_path, THERMOSTAT, "--max-connections", "1")
    try:
        with server.connect() as first:
            first.sendall(b"<getProperties version='1.7'/>")
            read_all(first, b"</defNumberVector>\n")
            with server.connect() as second:
                assert b"<message " in read_all(second, b"/>\n")
                assert second.recv(1) == b""
    finally:
        server.process.kill()
        server.process.wait()


def test_log_levels_choose_what_is_said(tmp_path: Path) -> None:
    for level, said in (("info", True), ("error", False)):
        server = serving(tmp_path, THERMOSTAT, "--log-level", level)
        try:
            with server.connect() as client:
                client.sendall(b"<newNumberVector/><getProperties version='1.7'/>")
                read_all(client, b"</defNumberVector>\n")
        finally:
            server.process.terminate()
            assert server.process.wait(DEADLINE) == 0
        assert ("newNumberVector" in server.log.read_text()) is said


def test_python_m_trindi_is_the_same() -> None:
    module = run_python("-m", "trindi", "serve", "--help")
    # The first line names the program, as it was called; the rest is wrapped to the terminal.
    usage, text = module.stdout.split("\n", 1)
    assert usage == "Usage: python -m trindi serve [OPTIONS] TARGET..."
    assert text.split() == invoke("--help").stdout.split("\n", 1)[1].split()


CHATTY = """
import logging
import signal
from trindi import Device, IPyDriver, TextMember, TextVector

class Chatty(IPyDriver):
    async def hardware(self):
        for _ in range(1000):
            logging.warning("x" * 500)
        signal.raise_signal(signal.SIGTERM)

def make_driver():
    return Chatty([Device("Chatty", [TextVector("T", textmembers=[TextMember("t")])])])
"""


def test_a_log_that_nobody_reads_stops_nothing(tmp_path: Path) -> None:
    """As behind a pager: a pipe takes 64 KiB, and whoever writes more waits."""
    (tmp_path / "chatty.py").write_text(CHATTY)
    with subprocess.Popen(
        [sys.executable, "-m", "trindi", "serve", "--port", "0", str(tmp_path / "chatty.py")],
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            assert process.wait(DEADLINE) == 0
            assert process.stderr is not None
            assert b"x" * 500 in process.stderr.read()
        finally:
            process.kill()
