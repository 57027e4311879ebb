"""Programs that tests start: where the examples are, what they need to run, how they are ended."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

T = TypeVar("T")

ROOT: Final = Path(__file__).parents[2]
EXAMPLES: Final = ROOT / "examples"

# This checkout is tested, wherever else a trindi may be installed.
ENVIRONMENT: Final = os.environ | {
    "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    "PYTHONUNBUFFERED": "1",
}

DEADLINE: Final = 50.0
"""Seconds of real time for each wait: far more than it takes, because machines are busy. Twice as
long is still less than the time after which pytest ends a test."""


def run_python(*arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run Python to its end."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2 * DEADLINE,
        check=False,
    )


def start_python(
    *arguments: str | Path, cwd: Path = ROOT, log: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start Python; what it writes to standard error goes to `log`."""
    with (log or Path(os.devnull)).open("wb") as stderr:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=cwd,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )


def wait_until(look: Callable[[], T | None], what: str, deadline: float = DEADLINE) -> T:
    """Look until there is something to see, and return it; fail with `what` was missing."""
    end = time.monotonic() + deadline
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {deadline:g} seconds")
        time.sleep(0.02)


def join(thread: threading.Thread) -> None:
    """Wait for the end of a thread."""
    thread.join(DEADLINE)
    assert not thread.is_alive(), f"{thread.name} has not ended within {DEADLINE:g} seconds"


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
