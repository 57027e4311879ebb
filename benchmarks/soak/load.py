"""What makes the load: the server's process, and clients that are bare sockets.

A client knows only the bytes that INDI puts on a socket, and nothing of trindi.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import socket
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "PATIENCE",
    "Client",
    "Process",
    "Server",
    "Vitals",
    "get",
    "new",
    "program",
    "reset",
    "running",
]

ROOT: Final = Path(__file__).parents[2]
BUILD: Final = ROOT / "benchmarks" / "_build"

PATIENCE: Final = 30.0
"""Seconds without a byte after which the server is taken for stuck."""

RECEIVE: Final = 1 << 20
GET_ALL: Final = b'<getProperties version="1.7"/>\n'
ALL_BLOBS: Final = b'<enableBLOB device="Soak">Also</enableBLOB>\n'


def get(name: str) -> bytes:
    """Write a request for one property's definition and news."""
    return f'<getProperties version="1.7" device="Soak" name="{name}"/>\n'.encode()


def new(name: str, **members: float) -> bytes:
    """Write a newNumberVector."""
    body = "".join(f'<oneNumber name="{n}">{v:.15g}</oneNumber>' for n, v in members.items())
    return f'<newNumberVector device="Soak" name="{name}">{body}</newNumberVector>\n'.encode()


def reset(sock: socket.socket) -> None:
    """End a connection as a computer does that has crashed and come back."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Client:
    """A connection that reads up to what it waits for."""

    def __init__(self, port: int, *requests: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._unread = bytearray()
        self.send(*requests)
        self.sync()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *requests: bytes) -> None:
        """Send these in one go."""
        self.socket.sendall(b"".join(requests))

    def read_until(self, mark: bytes) -> bytes:
        """Read up to the end of the next mark; return all that came until then.

        Raises:
            TimeoutError: it did not come.
            ConnectionError: the server has closed the connection.
        """
        start = 0
        while (found := self._unread.find(mark, start)) < 0:
            start = max(0, len(self._unread) - len(mark))
            data = self.socket.recv(RECEIVE)
            if not data:
                raise ConnectionError("the server has closed the connection")
            self._unread += data
        end = found + len(mark)
        seen = bytes(self._unread[:end])
        del self._unread[:end]
        return seen

    def read_into(self, text: bytearray) -> None:
        """Fill a buffer with what comes next."""
        known = min(len(self._unread), len(text))
        with memoryview(text) as rest:
            rest[:known] = self._unread[:known]
            while known < len(rest):
                read = self.socket.recv_into(rest[known:], 0)
                if not read:
                    raise ConnectionError("the server has closed the connection")
                known += read
        del self._unread[:known]

    def ask(self, name: str) -> None:
        """Set a property to what nobody else has set it to, and wait for the answer."""
        value = random.randrange(10**9, 10**12)
        self.send(new(name, v=value))
        # indiserver has a line end on either side of it.
        self.read_until(b"%d" % value)

    def sync(self) -> None:
        """Wait until the server has read all that was sent."""
        self.send(b'<pingRequest uid="sync"/>\n')
        self.read_until(b'<pingReply uid="sync"/>')


class Vitals:
    """Sees what goes on inside the server, through the server's own door."""

    def __init__(self, port: int) -> None:
        self.client = Client(port, get("vitals"))

    def read(self, *, collect: bool = True) -> dict[str, float]:
        """Ask the server how it is after a garbage collection, or without one."""
        self.client.send(new("vitals", clients=0 if collect else 1))
        self.client.read_until(b"<setNumberVector")
        text = self.client.read_until(b"</setNumberVector>").decode()
        return {
            name: float(value)
            for name, value in re.findall(r'<oneNumber name="(\w+)">\s*([^\s<]+)', text)
        }


@dataclass
class Process:
    """A server's process, as it is seen from outside."""

    pid: int
    port: int

    def peak(self) -> int:
        """Bytes of memory that the process has ever had at one time: the kernel keeps count."""
        return self._memory("VmHWM")

    def resident(self) -> int:
        """Bytes of memory that it has now, without a garbage collection before."""
        return self._memory("VmRSS")

    def descriptors(self) -> int:
        """How many files and sockets it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def _memory(self, name: str) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        found = re.search(rf"^{name}:\s*(\d+) kB$", status, re.MULTILINE)
        if found is None:
            raise OSError("this kernel does not count the memory of processes")
        return int(found[1]) * 1024


@dataclass
class Server(Process):
    """Our server's process, and somebody who can see inside."""

    vitals: Vitals


@contextlib.contextmanager
def program(module: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a module of this directory, and end it; what it complains of goes into a log."""
    BUILD.mkdir(exist_ok=True)
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    with (BUILD / "soak.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-W", "always", "-m", f"benchmarks.soak.{module}", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, "PYTHONPATH": paths},
        )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """Run the server, with somebody who can see inside."""
    with program("device") as process:
        pipe: Any = process.stdout
        line = pipe.readline()
        if not line:
            raise ConnectionError("the server did not start; see benchmarks/_build/soak.log")
        vitals = Vitals(int(line))
        with vitals.client:
            yield Server(process.pid, int(line), vitals)
