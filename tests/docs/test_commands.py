"""The pages on commands show what happens, and the tour can be taken as it is written."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.kit.docs import DOCS, SNIPPETS, transcript
from tests.kit.processes import DEADLINE, ENVIRONMENT, EXAMPLES, wait_until
from tests.kit.terminal import Terminal
from trindi.cli import main
from trindi.recording import Recording

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Desk:
    """A shell in a checkout of trindi, where `trindi` is installed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._started: list[subprocess.Popen[str]] = []
        self.ports: dict[str, str] = {}
        shutil.copytree(EXAMPLES, directory / "examples", ignore=shutil.ignore_patterns("__*"))
        self._install(directory / "bin")
        self.environment = ENVIRONMENT | {
            "PATH": f"{directory / 'bin'}{os.pathsep}{ENVIRONMENT['PATH']}",
            "HOME": str(directory),
        }

    def _install(self, directory: Path) -> None:
        directory.mkdir()
        program = directory / "trindi"
        program.write_text(f"#!{sys.executable}\nfrom trindi.cli import main\nmain()\n")
        program.chmod(0o755)

    def start(self, command: str) -> subprocess.Popen[str]:
        """Start a command that goes on until it is ended."""
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._started.append(process)
        return process

    def serve(self, command: str, expected: str, written: str) -> None:
        """Start a server as a page does, but on a free port."""
        process = self.start(command.replace(written, "0"))
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r" port (\d+)", line)
        assert found, line
        self.ports[written] = found[1]
        # Where the machine has IPv6, the line goes on with that address.
        assert line[: found.end()] == expected.replace(written, found[1])

    def run(self, command: str) -> str:
        """Run a command to its end; what it prints has the ports of the page."""
        for written, port in self.ports.items():
            command = command.replace(written, port)
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=2 * DEADLINE,
            check=False,
        )
        output = done.stdout
        for written, port in self.ports.items():
            output = output.replace(port, written)
        return output.rstrip("\n")

    def replay(self, name: str) -> None:
        """Give the commands of a transcript, and see that they print what it shows."""
        for command, expected in transcript(name):
            assert self.run(command) == expected, command

    def close(self) -> None:
        for process in self._started:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.close()


@pytest.fixture
def served(desk: Desk) -> Desk:
    """A desk where the thermostat and the camera are served."""
    drivers = "examples/thermostat_target.py examples/camera.py"
    desk.serve(
        f"trindi serve {drivers} --port 7624",
        "Serving Thermostat, Camera on 127.0.0.1 port 7624",
        "7624",
    )
    desk.environment["TRINDI_PORT"] = desk.ports["7624"]
    return desk


# Commands ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["get.console", "set.console", "wait.console"])
@pytest.mark.slow
def test_what_is_shown_is_what_is_printed(served: Desk, name: str) -> None:
    served.replay(name)


@pytest.mark.slow
def test_a_blob_is_saved_as_shown(served: Desk) -> None:
    ((command, expected),) = transcript("save_blobs.console")
    saving = served.start(command)

    def expose() -> bool:
        served.run("trindi set --wait Camera.CCD_EXPOSURE.CCD_EXPOSURE_VALUE=0.1")
        return saving.poll() is not None

    wait_until(expose, "it is saved")
    path, about = saving.communicate()[0].splitlines()
    expected_path, expected_about = expected.splitlines()
    assert path == expected_path
    assert about.split(",")[0] == expected_about.split(",")[0]
    assert (served.directory / path).stat().st_size == 619_200


def sections() -> dict[str, str]:
    parts = re.split(r"^## trindi (\S+)$", (DOCS / "commands.md").read_text(), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_page_has_each_command() -> None:
    assert sections().keys() == main.commands.keys() - {"serve", "check"}


@pytest.mark.parametrize("name", sections())
def test_the_page_has_each_option(name: str) -> None:
    shared = {"--host", "--port", "--json"}
    for parameter in main.commands[name].params:
        if parameter.param_type_name == "option":
            named = [one for one in parameter.opts if one not in shared and one != "-p"]
            assert [one for one in named if f"{one}" not in sections()[name]] == []


def test_each_example_of_the_help_is_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "night.jsonl").touch()
    context = main.make_context("trindi", ["get"])
    page = main.get_help(context)
    lines = re.findall(r"^ {4}trindi (.*)$", page.partition("Examples:")[2], re.M)
    assert len(lines) > 6
    for line in lines:
        name, *arguments = shlex.split(line.partition(" | ")[0], comments=True)
        main.commands[name].make_context(name, arguments, parent=context)


# The tour ----------------------------------------------------------------------------------------


def alike(line: str) -> str:
    """Leave out of a line of the table what changes from moment to moment."""
    line = re.sub(r"[▁▂▃▄▅▆▇█]+", "▁", line)
    return re.sub(r"\s+", " ", re.sub(r"\d+", "0", line)).strip()


@pytest.mark.slow
def test_the_tour(desk: Desk) -> None:
    # Serve.
    (change, _), (serve, expected) = transcript("serve_target.console")
    desk.directory /= change.removeprefix("cd ")
    desk.serve(f"{serve} --port 7624", expected, "7624")
    desk.environment["TRINDI_PORT"] = desk.ports["7624"]
    # Watch.
    ((_, table),) = transcript("watch.console")
    terminal = Terminal()
    try:
        watching = terminal.start("watch", "--port", desk.ports["7624"])
        shown = terminal.wait_for("targetvector.target")
        assert [alike(line) for line in shown if line][:-1] == [
            alike(x) for x in table.splitlines()
        ]
        terminal.press("q")
        assert watching.wait(DEADLINE) == 0
    finally:
        terminal.close()
    # Set.
    desk.replay("set_target.console")
    # Test.
    shutil.copy(SNIPPETS / "pytest.ini", desk.directory)
    tests = (SNIPPETS / "test_target.py").read_text(encoding="utf-8")
    first = tests.partition("async def test_the_night")[0]
    (desk.directory / "test_target.py").write_text(first, encoding="utf-8")
    run_pytest(desk, "pytest_target.console")
    # Record.
    ((record, expected),) = transcript("record.console")
    recording = desk.start(record)
    night = desk.directory / "night.jsonl"
    wait_until(lambda: night.exists() and "pingReply" in night.read_text(), "it records")
    assert desk.run("trindi set --wait Thermostat.targetvector.target=20") == ""
    recording.send_signal(signal.SIGINT)
    said, _ = recording.communicate(timeout=DEADLINE)
    assert said.strip() == expected.replace("7624", desk.ports["7624"])
    # Replay.
    ((replay, expected),) = transcript("replay.console")
    desk.serve(replay, expected, "7625")
    desk.replay("replayed.console")
    (desk.directory / "test_target.py").write_text(tests, encoding="utf-8")
    run_pytest(desk, "pytest_night.console")
    assert Recording(night).side == "client"


def run_pytest(desk: Desk, name: str) -> None:
    """Run the tests of a transcript, and see that they come out as shown."""
    command, expected = transcript(name)[-1]
    program = f'"{sys.executable}" -m {command} -p pytest_trindi -W error'
    printed = desk.run(program)
    assert printed.splitlines()[-1].split(" in ")[0] == expected.splitlines()[-1].split(" in ")[0]
