"""What is measured of every contender, one function a workload.

Each function talks to the bench device on a port of this machine, and returns one figure for each
of its metrics.
"""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.client import (
    BLOB_END,
    DEF_END,
    GET_PROPERTIES,
    SET_END,
    Counter,
    count_all,
    new,
    settled,
)

Metrics = dict[str, float]
DEFINITIONS = 1006
"""Of the bench device: 1,005 of numbers and one of a BLOB."""


@dataclass(frozen=True)
class Sizes:
    """How much of each workload is done; the full run does what is written here."""

    stream1: int = 20_000
    fanout10: int = 5_000
    fanout100: int = 2_000
    pingpong: int = 2_000
    pipeline: int = 10_000
    blob_bytes: int = 1 << 24
    blob_down: int = 8
    blob_up: int = 4
    getprops: int = 10


Workload = Callable[[int, Sizes], Metrics]
# indiserver's cost of one update grows with what already waits, so that fewer of them would be
# another workload; what takes it most of the time is shortened instead.
QUICK = Sizes(blob_up=1)


def _fan_out(port: int, updates: int, clients: int) -> Metrics:
    with settled(port, "echo", "go", "value", listeners=clients - 1) as socks:
        took = count_all(socks[0], new("go", v=updates), socks, updates)
    return {"deliveries/s": updates * clients / took}


def stream1(port: int, sizes: Sizes) -> Metrics:
    """Updates flat out, to one client."""
    return _fan_out(port, sizes.stream1, 1)


def fanout10(port: int, sizes: Sizes) -> Metrics:
    """Updates flat out, to ten clients."""
    return _fan_out(port, sizes.fanout10, 10)


def fanout100(port: int, sizes: Sizes) -> Metrics:
    """Updates flat out, to a hundred clients."""
    return _fan_out(port, sizes.fanout100, 100)


def percentile(values: list[float], percent: int) -> float:
    """Return the value that so many percent of them do not exceed."""
    ranked = sorted(values)
    return ranked[min(len(ranked) * percent // 100, len(ranked) - 1)]


def pingpong(port: int, sizes: Sizes) -> Metrics:
    """One request, its answer, and the next."""
    took = []
    with settled(port, "echo") as [sock]:
        for value in range(sizes.pingpong):
            request = new("echo", v=value)
            start = time.perf_counter()
            sock.sendall(request)
            Counter(sock, SET_END).wait(1)
            took.append(1e6 * (time.perf_counter() - start))
    return {"p50 µs": percentile(took, 50), "p99 µs": percentile(took, 99)}


def pipelined(sock: socket.socket, requests: list[bytes]) -> float:
    """Send requests without waiting for their answers; returns the seconds until all are there."""
    data = b"".join(requests)
    start = time.perf_counter()
    sender = threading.Thread(target=sock.sendall, args=(data,))
    sender.start()
    try:
        Counter(sock, SET_END).wait(len(requests))
        return time.perf_counter() - start
    except BaseException:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        raise
    finally:
        sender.join()


def pipeline(port: int, sizes: Sizes) -> Metrics:
    """Requests without waiting for their answers."""
    with settled(port, "echo") as [sock]:
        took = pipelined(sock, [new("echo", v=value) for value in range(sizes.pipeline)])
    return {"replies/s": sizes.pipeline / took}


def blob_down(port: int, sizes: Sizes) -> Metrics:
    """Large BLOBs from the driver to the client."""
    with settled(port, "echo", "sendblob") as [sock]:
        sock.sendall(b'<enableBLOB device="Bench" name="blob">Also</enableBLOB>\n')
        # The first one is not counted: the device makes up what it sends.
        sock.sendall(new("sendblob", size=sizes.blob_bytes, count=1))
        Counter(sock, BLOB_END).wait(1)
        start = time.perf_counter()
        sock.sendall(new("sendblob", size=sizes.blob_bytes, count=sizes.blob_down))
        Counter(sock, BLOB_END).wait(sizes.blob_down)
        took = time.perf_counter() - start
    return {"payload MB/s": sizes.blob_bytes * sizes.blob_down / took / 1e6}


def blob_up(port: int, sizes: Sizes) -> Metrics:
    """Large BLOBs from the client to the driver."""
    message = (
        b'<newBLOBVector device="Bench" name="blob"><oneBLOB name="b" size="%d" format=".bin">'
        b"%b</oneBLOB></newBLOBVector>\n"
    ) % (sizes.blob_bytes, base64.b64encode(os.urandom(sizes.blob_bytes)))
    with settled(port, "echo", "blobrx") as [sock]:
        start = time.perf_counter()
        for _ in range(sizes.blob_up):
            sock.sendall(message)
        Counter(sock, SET_END).wait(sizes.blob_up)
        took = time.perf_counter() - start
    return {"payload MB/s": sizes.blob_bytes * sizes.blob_up / took / 1e6}


def getprops(port: int, sizes: Sizes) -> Metrics:
    """All definitions, again and again."""
    with settled(port) as [sock]:
        took = definitions(sock, DEFINITIONS - 1, sizes.getprops)
    return {"definitions/s": DEFINITIONS * sizes.getprops / took}


def definitions(sock: socket.socket, numbers: int, times: int) -> float:
    """Ask for all definitions, so often in turn; returns the seconds that took."""
    start = time.perf_counter()
    for _ in range(times):
        sock.sendall(GET_PROPERTIES)
        Counter(sock, DEF_END).wait(numbers)
    return time.perf_counter() - start


WORKLOADS: dict[str, Workload] = {
    workload.__name__: workload
    for workload in (
        stream1,
        fanout10,
        fanout100,
        pingpong,
        pipeline,
        blob_down,
        blob_up,
        getprops,
    )
}

CLIENTS = {"fanout10": 10, "fanout100": 100}
"""How many clients a workload has, if not one."""
