"""The reference programs of Debian's indi-bin, and trindi's own, as processes on this machine.

Each test gets a `Bench`: it starts servers on ports and local sockets of their own, calls the
command-line tools on them, and ends what it has started.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.kit.processes import (
    DEADLINE,
    ENVIRONMENT,
    EXAMPLES,
    ROOT,
    free_port,
    start_python,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Callable

TOOLS: Final = ("indiserver", "indi_getprop", "indi_setprop", "indi_eval")

STDIO_SCRIPT: Final = """
import os, pathlib, signal, trio, {module}
# A shell that runs the tests in the background has it ignored, and that is inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)
here = pathlib.Path(__file__)
here.with_suffix(".pid").write_text(str(os.getpid()))
trio.run({module}.make_driver().run)
here.with_suffix(".end").write_text("clean")
"""

_numbers = itertools.count()


@dataclass
class Server:
    """A server that is running, and its port."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path


class Program:
    """A driver as an executable for indiserver; it notes its process, and its clean end."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def pid(self) -> int:
        """The process, once it has started."""
        note = self.path.with_suffix(".pid")
        return int(
            wait_until(lambda: note.read_text() if note.exists() else "", f"{note} is there")
        )

    def has_ended(self) -> bool:
        """Whether the process is gone; one that nobody has reaped yet is."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return True
        return stat.rpartition(")")[2].split()[0] == "Z"

    def has_ended_cleanly(self) -> bool:
        """Whether its `run` has returned."""
        return self.path.with_suffix(".end").exists()


class Bench:
    """Starts programs in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._started: list[subprocess.Popen[bytes]] = []
        self._environment = ENVIRONMENT | {
            "HOME": str(directory),
            "PYTHONPATH": os.pathsep.join([str(directory), str(ROOT), str(EXAMPLES)]),
        }

    # Servers -----------------------------------------------------------------------------------

    def trindi_serve(self, *targets: str | Path) -> Server:
        """Start `trindi serve` on a free port, and wait until it says that it serves."""
        log = self.directory / f"trindi{next(_numbers)}.log"
        process = start_python("-m", "trindi", "serve", *targets, "--port", "0", log=log)
        self._started.append(process)

        def port() -> int | None:
            assert process.poll() is None, log.read_text()
            found = re.search(r"^Serving .* port (\d+)", log.read_text(), re.MULTILINE)
            return int(found[1]) if found else None

        return Server(process, wait_until(port, "trindi serves"), log)

    def indiserver(self, *drivers: str | Path) -> Server:
        """Start the stock server on a free port, and wait until it listens."""
        port = free_port()
        log = self.directory / f"indiserver{port}.log"
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                ["indiserver", "-v", "-r", "0", "-p", str(port), "-u", f"trindi-{port}", *drivers],
                cwd=self.directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )
        self._started.append(process)

        def listens() -> bool:
            assert process.poll() is None, log.read_text()
            return f"listening to port {port}" in log.read_text()

        wait_until(listens, "indiserver listens")
        return Server(process, port, log)

    def program(self, module: str) -> Program:
        """Make an executable of a module that has make_driver."""
        script = self.directory / f"{module}_on_stdio.py"
        script.write_text(STDIO_SCRIPT.format(module=module))
        path = script.with_suffix(".sh")
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}"\n')
        path.chmod(0o755)
        return Program(path)

    def module(self, name: str, text: str) -> str:
        """Write a module where programs find it."""
        (self.directory / f"{name}.py").write_text(text)
        return name

    # Tools -------------------------------------------------------------------------------------

    def run(self, tool: str, port: int, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of the tools to its end."""
        return subprocess.run(
            [tool, "-p", str(port), *arguments],
            cwd=self.directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=2 * DEADLINE,
            check=False,
        )

    def start(self, tool: str, port: int, *arguments: str) -> subprocess.Popen[bytes]:
        """Start one of the tools."""
        process = subprocess.Popen(
            [tool, "-p", str(port), *arguments],
            cwd=self.directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._started.append(process)
        return process

    def get_all(self, port: int) -> dict[str, str]:
        """Return every value that indi_getprop prints."""
        lines = self.run("indi_getprop", port).stdout.splitlines()
        return dict(line.split("=", 1) for line in lines)

    def get(self, port: int, place: str) -> str:
        """Return one value, such as that of ``Device.property.member``."""
        done = self.run("indi_getprop", port, "-t", f"{DEADLINE:g}", "-1", place)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def set(self, port: int, *arguments: str) -> None:
        """Set a value, such as ``Device.property.member=1``."""
        done = self.run("indi_setprop", port, *arguments)
        assert done.returncode == 0, done.stderr

    def wait_for(self, port: int, place: str, wanted: str) -> None:
        """Read a value again and again until it is as wanted."""
        seen: list[str] = []

        def look() -> bool:
            seen[:] = [self.get(port, place)]
            return seen == [wanted]

        try:
            wait_until(look, f"{place} is {wanted}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {seen}") from None

    def receive_blob(self, port: int, place: str, size: int, trigger: Callable[[], None]) -> bytes:
        """Return the BLOB of that size which indi_getprop writes into a file.

        It does not tell when it is ready, so that what makes the driver send is done again where
        nothing has come.
        """
        tool = self.start("indi_getprop", port, "-m", "-t", f"{10 * DEADLINE:g}", place)

        def file() -> Path | None:
            assert tool.poll() is None, "indi_getprop has ended"
            return next(self.directory.glob(f"{place}*"), None)

        written = None
        for _ in range(3):
            trigger()
            with contextlib.suppress(AssertionError):
                written = wait_until(file, f"{place} has arrived", DEADLINE / 2)
                break
        assert written is not None, f"{place} has not arrived"
        found: Path = written
        with contextlib.suppress(AssertionError):
            wait_until(lambda: found.stat().st_size >= size, "the file is whole")
        tool.kill()
        tool.wait()
        return found.read_bytes()

    def close(self) -> None:
        """End what was started, the newest first."""
        for process in reversed(self._started):
            if process.poll() is None:
                process.kill()
            process.wait()


def digest(data: bytes) -> str:
    """A checksum that a failing test can print."""
    return hashlib.sha256(data).hexdigest()
