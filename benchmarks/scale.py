"""What a thousand clients cost, how cost grows, and whether everyone gets a turn."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.client import count_all, new, settled
from benchmarks.contenders import CONTENDERS, running
from benchmarks.usage import processor_seconds, resident_kib
from benchmarks.workloads import Metrics, definitions, pipelined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


@dataclass(frozen=True)
class Scale:
    """How far each of these goes; the full run goes as far as is written here."""

    idle_clients: int = 1_000
    idle_seconds: float = 5.0
    clients: Sequence[int] = (1, 10, 100, 1_000)
    updates: int = 50
    properties: Sequence[int] = (10, 100, 1_000, 10_000)
    definitions: int = 20_000
    most_times: int = 20
    members: Sequence[int] = (1, 4, 16, 64)
    requests: int = 2_000
    others_most: int = 10_000
    """Clients, properties or members that other contenders than trindi are measured with."""

    def sizes(self, name: str, wanted: Sequence[int]) -> list[int]:
        """Return those sizes that a contender is measured with."""
        most = wanted[-1] if name == "trindi" else self.others_most
        return [size for size in wanted if size <= most]


QUICK = Scale(
    idle_seconds=1.0, updates=10, definitions=5_000, most_times=5, requests=300, others_most=100
)


def idle(name: str, scale: Scale) -> Metrics:
    """Many clients that listen, and nothing happens; then one update reaches them all."""
    count = scale.idle_clients
    if count > CONTENDERS[name].most_clients:
        return {}
    with running(name, BENCH_FURTHER="0") as (port, group), settled(port, "echo", "go") as [asking]:
        before = resident_kib(group)
        with settled(port, "echo", "value", listeners=count - 1) as listening:
            each = (resident_kib(group) - before) / count
            used, start = processor_seconds(group), time.perf_counter()
            time.sleep(scale.idle_seconds)
            used = processor_seconds(group) - used
            share = 100 * used / (time.perf_counter() - start)
            took = count_all(asking, new("go", v=1), listening, 1)
    return {"KiB/client": each, "CPU %": share, "ms to all": 1e3 * took}


# Growth: microseconds of the server's processor time, by how many there are ----------------------


def clients(name: str, scale: Scale) -> Metrics:
    """One update, by the number of clients that it goes to; the next when all have it."""
    took = {}
    for size in scale.sizes(name, scale.clients):
        if size <= CONTENDERS[name].most_clients:
            with (
                running(name, BENCH_FURTHER="0") as (port, group),
                settled(port, "echo", "go", "value", listeners=size - 1) as socks,
                costing(group, scale.updates) as cost,
            ):
                for _ in range(scale.updates):
                    count_all(socks[0], new("go", v=1), socks, 1)
            took[str(size)] = cost[0]
    return took


def properties(name: str, scale: Scale) -> Metrics:
    """All definitions, by the number of properties."""
    took = {}
    for size in scale.sizes(name, scale.properties):
        times = min(max(1, scale.definitions // size), scale.most_times)
        with (
            running(name, BENCH_FURTHER=str(size - 6)) as (port, group),
            settled(port) as [sock],
            costing(group, times) as cost,
        ):
            definitions(sock, size - 1, times)
        took[str(size)] = cost[0]
    return took


def members(name: str, scale: Scale) -> Metrics:
    """One request and its answer, by the number of elements in each."""
    took = {}
    for size in scale.sizes(name, scale.members):
        names = ["v", *(f"v{index}" for index in range(1, size))]
        with (
            running(name, BENCH_FURTHER="0", BENCH_MEMBERS=str(size)) as (port, group),
            settled(port, "echo") as [sock],
            costing(group, scale.requests) as cost,
        ):
            pipelined(sock, [new("echo", **dict.fromkeys(names, v)) for v in range(scale.requests)])
        took[str(size)] = cost[0]
    return took


@contextlib.contextmanager
def costing(group: int, times: int) -> Iterator[list[float]]:
    """Give the microseconds that a server works for each time that something is done."""
    cost: list[float] = []
    before = processor_seconds(group)
    yield cost
    cost.append(1e6 * (processor_seconds(group) - before) / times)


GROWTH: dict[str, Callable[[str, Scale], Metrics]] = {
    growth.__name__: growth for growth in (clients, properties, members)
}
