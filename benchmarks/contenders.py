"""Who is measured: how each contender is built, started and stopped.

Every contender is one or more processes that serve the bench device on a port of this machine.
What cannot be had here (no indiserver, no compiler) says so, and is left out of the tables.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
DEVICES = HERE / "devices"
BUILD = HERE / "_build"
LOG = BUILD / "log"
PEER_REQUIREMENTS = ("indipydriver==3.1.2", "indipyserver==0.0.6")
START = 20.0
"""Seconds that a contender may take to listen."""


class MissingError(Exception):
    """A contender cannot be had on this machine; the text says what it wants."""


Command = Callable[[int], Sequence[str]]


@dataclass(frozen=True)
class Contender:
    """One server with the bench device, and what it can be asked for.

    Args:
        command: makes its command from the port; builds what has to be built.
        ours: it is trindi.
        most_clients: that it takes.
        pings: it answers a pingRequest.
        clock: it runs a second driver, which measures how late its timer is.
    """

    command: Command
    ours: bool = False
    most_clients: int = 1_000_000
    pings: bool = True
    clock: bool = False


def _tool(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise MissingError(f"{name} is not installed (Debian's package {package})")
    return found


def _python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def _program(name: str, *arguments: str) -> str:
    """An executable file without arguments: indiserver gives its drivers none."""
    path = BUILD / name
    quoted = " ".join(f"'{argument}'" for argument in arguments)
    path.write_text(f"#!/bin/sh\nexec {quoted}\n")
    path.chmod(0o755)
    return str(path)


def _indiserver(port: int, driver: str) -> list[str]:
    # Enough memory for a client to be as far behind as the workloads make it.
    server = _tool("indiserver", "indi-bin")
    return [server, "-p", str(port), "-u", f"bench-{port}", "-r", "0", "-m", "1000", driver]


def trindi(port: int) -> list[str]:
    """The bench device in an IPyServer."""
    return _python(str(DEVICES / "trindi_server.py"), str(port))


def trindi_stdio(port: int) -> list[str]:
    """The bench device of trindi on standard input and output, under indiserver."""
    program = _program("trindi_stdio", *_python(str(DEVICES / "trindi_driver.py")))
    return _indiserver(port, program)


def libindi(port: int) -> list[str]:
    """The bench device on libindi, under indiserver."""
    program = BUILD / "libindi_driver"
    source = DEVICES / "libindi_driver.cpp"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        if not Path("/usr/include/libindi/indidriver.h").exists():
            raise MissingError("libindi's headers are not installed (Debian's libindi-dev)")
        compiler = _tool("g++", "g++")
        options = ["-O2", "-I/usr/include/libindi", "-lindidriver", "-lpthread"]
        compiling = [compiler, str(source), "-o", str(program), *options]
        if subprocess.run(compiling, check=False).returncode:
            raise MissingError("the driver on libindi cannot be compiled here")
    return _indiserver(port, str(program))


def raw(port: int) -> list[str]:
    """Bytes made beforehand, under indiserver."""
    return _indiserver(port, _program("raw_stdio", *_python(str(DEVICES / "raw.py"))))


def indipydriver(port: int) -> list[str]:
    """The bench device on indipydriver and its server, in an environment of their own."""
    place = BUILD / "indipydriver"
    python = place / "bin" / "python"
    if not (place / "complete").exists():
        venv.create(place, with_pip=True, clear=True)
        command = [str(python), "-m", "pip", "install", "--quiet", *PEER_REQUIREMENTS]
        if subprocess.run(command, check=False).returncode:
            raise MissingError("indipydriver cannot be installed here")
        (place / "complete").touch()
    most = str(CONTENDERS["indipydriver"].most_clients)
    return [str(python), str(DEVICES / "indipydriver_server.py"), str(port), most]


def floor(port: int) -> list[str]:
    """Bytes made beforehand on bare sockets: the limit of this machine."""
    return _python(str(DEVICES / "raw.py"), str(port))


CONTENDERS: dict[str, Contender] = {
    "trindi": Contender(trindi, ours=True, clock=True),
    "trindi stdio": Contender(trindi_stdio, ours=True),
    "libindi": Contender(libindi),
    "raw": Contender(raw),
    # Ten is the most that its server takes.
    "indipydriver": Contender(indipydriver, most_clients=10, pings=False),
    "floor": Contender(floor, pings=False),
}


def build(name: str, port: int = 0) -> Sequence[str]:
    """Return a contender's command, and build what it needs first."""
    BUILD.mkdir(exist_ok=True)
    return CONTENDERS[name].command(port)


@contextlib.contextmanager
def running(name: str, **environment: str) -> Iterator[tuple[int, int]]:
    """Run a contender; yields its port, and the process group that it is."""
    port = _free_port()
    command = build(name, port)
    with tempfile.TemporaryDirectory() as home, LOG.open("ab") as log:
        paths = os.pathsep.join([str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "HOME": home, "PYTHONPATH": paths, **environment},
            start_new_session=True,
        )
        try:
            _wait_listening(port, process)
            yield port, process.pid
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _wait_listening(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise MissingError(f"it did not start; see {LOG}") from None
            time.sleep(0.05)
        else:
            return
