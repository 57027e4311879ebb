"""One client floods a property; the others, who ask for other properties, must not wait long."""

from __future__ import annotations

import random
import sys
import threading
import time
from dataclasses import replace
from typing import Final

from benchmarks.soak.figures import Figure
from benchmarks.soak.load import GET_ALL, PATIENCE, Client, Server, get, program, running

LATEST: Final = 20.0
"""Milliseconds within which 99 of 100 requests of the others are to be answered."""

PAUSE: Final = 0.005
"""Seconds between two requests of one client, at the most."""

CASES: Final = {
    "a quick handler": ("quick",),
    "a quick handler, answers unread": ("quick", "--deaf"),
    "a slow handler": ("slow",),
}

BYSTANDERS: Final = {"echo0": get("echo0"), "echo1": get("echo1"), "echo2": GET_ALL}
"""What each of the others sets, and what it hears; the last one hears the flood's answers too."""


class Bystander(threading.Thread):
    """Asks, waits for the answer, pauses, and asks again.

    Attributes:
        took: milliseconds from each request to its answer.
        failure: what went wrong, or "".
    """

    def __init__(self, port: int, name: str, subscription: bytes, seconds: float) -> None:
        super().__init__(daemon=True)
        self.took: list[float] = []
        self.failure = ""
        self._client = Client(port, subscription)
        self._property = name
        self._seconds = seconds

    def run(self) -> None:
        """Ask for some time."""
        end = time.perf_counter() + self._seconds
        try:
            with self._client as client:
                while (start := time.perf_counter()) < end:
                    client.ask(self._property)
                    self.took.append((time.perf_counter() - start) * 1e3)
                    time.sleep(random.uniform(0, PAUSE))
        except OSError as error:
            self.failure = f"{self._property}: {type(error).__name__}: {error}"

    def latest(self, share: float) -> float:
        """Milliseconds within which this share of the requests was answered.

        The requests that it would have made while it waited for one answer count, too: each pause
        later, with as much less to wait. Else a wait of seconds would be but one among thousands.
        """
        if self.failure or not self.took:
            return float("inf")
        pause = PAUSE * 1e3
        waits = sorted(
            took - skipped * pause for took in self.took for skipped in range(1 + int(took / pause))
        )
        return waits[int((len(waits) - 1) * share)]

    def figures(self) -> list[Figure]:
        """Say how long it waited."""
        if self.failure:
            print(self.failure, file=sys.stderr)
        return [
            Figure(
                "p99 of another client's request, ms", self.latest(0.99), most=LATEST, timed=True
            ),
            Figure("the longest of them, ms", self.latest(1)),
        ]


def flood(seconds: float) -> list[Figure]:
    """Flood a property, of which the handler is quick or slow, and see how long others wait."""
    figures = []
    for case, (name, *options) in CASES.items():
        with running() as server:
            figures += _flood_one(server, case, [name, *options], seconds / len(CASES))
            errors = server.vitals.read()["errors"]
        figures.append(Figure(f"{case}: exceptions and warnings logged", errors, most=0))
    return figures


def _flood_one(server: Server, case: str, flooder: list[str], seconds: float) -> list[Figure]:
    with program("flooder", str(server.port), *flooder):
        _wait_until_it_floods(server)
        before = server.vitals.read()["taken"]
        bystanders = [Bystander(server.port, *each, seconds) for each in BYSTANDERS.items()]
        for bystander in bystanders:
            bystander.start()
        for bystander in bystanders:
            bystander.join()
        taken = server.vitals.read()["taken"] - before
    worst = max(bystanders, key=lambda bystander: bystander.latest(0.99))
    return [
        *(replace(figure, what=f"{case}: {figure.what}") for figure in worst.figures()),
        Figure(f"{case}: requests taken per second, all clients'", taken / seconds),
    ]


def _wait_until_it_floods(server: Server) -> None:
    """Wait until more has been taken than may wait for a property."""
    deadline = time.monotonic() + PATIENCE
    while server.vitals.read()["taken"] < 70:
        if time.monotonic() > deadline:
            raise TimeoutError("nobody floods the server; see benchmarks/_build/soak.log")
        time.sleep(0.05)
