"""The same load on a server of ours and on Debian's indiserver, whose figures stand beside."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.soak.figures import Figure
from benchmarks.soak.load import BUILD, GET_ALL, PATIENCE, ROOT, Client, Process, running

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["beside"]


Measure = Callable[[Process], list[Figure]]


def beside(cases: dict[str, Measure]) -> list[Figure]:
    """Measure each case on a server of ours, then on an indiserver; bounds are for ours."""
    figures = []
    complaints = 0.0
    for case, measure in cases.items():
        with running() as server:
            ours = measure(server)
            complaints += server.vitals.read()["errors"]
        stock = _stock(measure)
        figures += [
            replace(figure, what=f"{case}: {figure.what}", stock=stock.get(figure.what))
            for figure in ours
        ]
    return [*figures, Figure("exceptions and warnings logged", complaints, most=0)]


def _stock(measure: Measure) -> dict[str, float]:
    """Return the figures of indiserver, as far as there are any."""
    if shutil.which("indiserver") is None:
        print("indiserver is not installed: nothing to compare with", file=sys.stderr)
        return {}
    try:
        with _indiserver() as process:
            return {figure.what: figure.value for figure in measure(process)}
    except OSError as error:
        print(f"indiserver: {type(error).__name__}: {error}", file=sys.stderr)
        return {}


@contextlib.contextmanager
def _indiserver() -> Iterator[Process]:
    """Run indiserver with the plain driver, with its own bounds."""
    BUILD.mkdir(exist_ok=True)
    driver = BUILD / "soak_plain"
    command = f"cd '{ROOT}' && exec '{sys.executable}' -m benchmarks.soak.plain"
    driver.write_text(f"#!/bin/sh\n{command}\n")
    driver.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    options = ["-p", str(port), "-u", f"soak-{port}", "-r", "0"]
    with (BUILD / "soak.log").open("ab") as log:
        process = subprocess.Popen(
            ["indiserver", *options, str(driver)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait_listening(port)
        with Client(port, GET_ALL) as client:
            # Before this it drops what is for a device that it does not know.
            client.read_until(b"</defBLOBVector>")
        yield Process(process.pid, port)
    finally:
        # Its driver, too, which may be stuck.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_listening(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
