"""What is wanted of trindi beside its peers, and whether it is so: plain arithmetic on medians."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Figures = dict[str, dict[str, dict[str, list[float]]]]
"""Contender → workload → metric → one figure a round."""
Medians = dict[str, dict[str, dict[str, float]]]

OURS = "trindi"
OURS_STDIO = "trindi stdio"
PEERS = ("libindi", "raw", "indipydriver", "defusedxml")
GROWTH = ("clients", "properties", "members")


@dataclass(frozen=True)
class Goal:
    """A limit for trindi's ratio to its best peer, or for its own figure."""

    limit: float
    ratio: bool = True


GOALS: dict[tuple[str, str], Goal] = {
    ("stream1", "deliveries/s"): Goal(15),
    ("fanout10", "deliveries/s"): Goal(6),
    ("fanout100", "deliveries/s"): Goal(6),
    ("pingpong", "p50 µs"): Goal(1),
    ("pingpong", "p99 µs"): Goal(1),
    ("pipeline", "replies/s"): Goal(1.5),
    ("blob_down", "payload MB/s"): Goal(5),
    ("blob_up", "payload MB/s"): Goal(5),
    ("getprops", "definitions/s"): Goal(30),
    ("decode", "elements/s"): Goal(1),
    ("idle", "KiB/client"): Goal(64, ratio=False),
    ("idle", "CPU %"): Goal(0.1, ratio=False),
    ("idle", "ms to all"): Goal(50, ratio=False),
    ("fairness", "ping p99 ms"): Goal(10, ratio=False),
    ("fairness", "timer p99 ms"): Goal(10, ratio=False),
}
"""Of a rate, the least that is wanted; of a cost, the most."""
LINEAR = 2.0
"""How many times more a client, property or element may cost where there are most of them than
where it costs least. What grows with the square would be at 10 and more."""


def is_rate(metric: str) -> bool:
    """Whether more is better."""
    return "/s" in metric


def medians_of(figures: Figures) -> Medians:
    """Reduce the rounds to their medians."""
    return {
        name: {
            workload: {metric: statistics.median(values) for metric, values in metrics.items()}
            for workload, metrics in workloads.items()
        }
        for name, workloads in figures.items()
    }


@dataclass(frozen=True)
class Row:
    """One metric of one workload: every contender's median, and how trindi stands."""

    workload: str
    metric: str
    figures: Mapping[str, float]

    @property
    def best(self) -> str | None:
        """The peer with the best figure."""
        peers = [peer for peer in PEERS if peer in self.figures]
        choose = max if is_rate(self.metric) else min
        return choose(peers, key=self.figures.__getitem__, default=None)

    def ratio(self, peer: str | None, name: str = OURS) -> float | None:
        """Divide trindi's figure by a peer's."""
        if name not in self.figures or peer is None or not self.figures.get(peer):
            return None
        return self.figures[name] / self.figures[peer]

    @property
    def goal(self) -> Goal | None:
        """What is wanted."""
        return GOALS.get((self.workload, self.metric))

    @property
    def met(self) -> bool | None:
        """Whether it is so; None where there is no goal, or nothing to compare."""
        if self.goal is None:
            return None
        value = self.ratio(self.best) if self.goal.ratio else self.figures.get(OURS)
        if value is None:
            return None
        return value >= self.goal.limit if is_rate(self.metric) else value <= self.goal.limit


def rows(medians: Medians) -> Iterator[Row]:
    """Yield a row for each metric that anyone has, in the order in which they were measured."""
    metrics = {
        (workload, metric): None
        for workloads in medians.values()
        for workload, values in workloads.items()
        if workload not in GROWTH
        for metric in values
    }
    for workload, metric in metrics:
        figures = {
            name: workloads[workload][metric]
            for name, workloads in medians.items()
            if metric in workloads.get(workload, {})
        }
        yield Row(workload, metric, figures)


@dataclass(frozen=True)
class Growth:
    """What a contender's cost is, in microseconds, by how many clients, properties or elements."""

    axis: str
    name: str
    costs: Mapping[int, float]

    @property
    def factor(self) -> float:
        """How much dearer one of them is where there are most than where it is cheapest."""
        each = [cost / size for size, cost in sorted(self.costs.items())]
        return each[-1] / min(each)

    @property
    def met(self) -> bool | None:
        """Whether trindi's cost is linear; None for the others."""
        return self.factor <= LINEAR if self.name == OURS else None


def growths(medians: Medians) -> Iterator[Growth]:
    """Yield how each contender's cost grows."""
    for axis in GROWTH:
        for name, workloads in medians.items():
            if costs := workloads.get(axis):
                yield Growth(axis, name, {int(size): cost for size, cost in costs.items()})
