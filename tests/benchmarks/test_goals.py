"""Ratios, goals and growth are what arithmetic says."""

from __future__ import annotations

import pytest

from benchmarks.goals import GOALS, Growth, Row, growths, medians_of, rows

FIGURES = {"trindi": 300.0, "trindi stdio": 50.0, "libindi": 20.0, "raw": 10.0, "floor": 9_000.0}


def test_the_best_peer_of_a_rate_has_most_and_of_a_cost_least() -> None:
    assert Row("stream1", "deliveries/s", FIGURES).best == "libindi"
    assert Row("pingpong", "p50 µs", FIGURES).best == "raw"


def test_neither_trindi_nor_the_floor_is_a_peer() -> None:
    assert (
        Row("stream1", "deliveries/s", {"trindi": 1.0, "trindi stdio": 9.0, "floor": 9.0}).best
        is None
    )


def test_a_ratio_is_trindis_figure_by_the_peers() -> None:
    row = Row("stream1", "deliveries/s", FIGURES)
    assert row.ratio("libindi") == 15
    assert row.ratio("raw") == 30
    assert row.ratio("libindi", "trindi stdio") == 2.5


@pytest.mark.parametrize(
    "figures", [{"libindi": 2.0}, {"trindi": 1.0}, {"trindi": 1.0, "libindi": 0.0}]
)
def test_there_is_no_ratio_without_both_figures(figures: dict[str, float]) -> None:
    row = Row("stream1", "deliveries/s", figures)
    assert row.ratio(row.best) is None
    assert row.met is None


@pytest.mark.parametrize(
    ("workload", "metric", "trindi", "met"),
    [
        ("stream1", "deliveries/s", 300.0, True),
        ("stream1", "deliveries/s", 299.9, False),
        ("pingpong", "p99 µs", 10.0, True),
        ("pingpong", "p99 µs", 10.1, False),
        ("idle", "KiB/client", 64.0, True),
        ("idle", "KiB/client", 64.1, False),
        ("idle", "CPU %", 0.0, True),
        ("decode", "each alone/s", 0.0, None),
    ],
)
def test_a_goal_is_met_or_not(workload: str, metric: str, trindi: float, met: bool) -> None:
    assert Row(workload, metric, {**FIGURES, "trindi": trindi}).met is met


def test_a_goal_of_trindis_own_needs_no_peer() -> None:
    assert Row("fairness", "timer p99 ms", {"trindi": 9.9}).met is True


def test_medians_are_of_each_metric() -> None:
    figures = {"raw": {"pingpong": {"p50 µs": [3.0, 1.0, 2.0], "p99 µs": [4.0, 8.0]}}}
    assert medians_of(figures) == {"raw": {"pingpong": {"p50 µs": 2.0, "p99 µs": 6.0}}}


def test_a_row_has_the_figures_of_all_who_have_one() -> None:
    medians = {
        "trindi": {"idle": {"CPU %": 1.0}, "clients": {"1": 5.0}},
        "raw": {"idle": {"CPU %": 2.0}, "pipeline": {"replies/s": 3.0}},
    }
    assert list(rows(medians)) == [
        Row("idle", "CPU %", {"trindi": 1.0, "raw": 2.0}),
        Row("pipeline", "replies/s", {"raw": 3.0}),
    ]


@pytest.mark.parametrize(
    ("costs", "factor", "met"),
    [
        ({1: 7.0, 10: 70.0, 100: 700.0}, 1.0, True),
        ({1: 100.0, 10: 190.0, 100: 1_090.0}, 1.0, True),
        ({1: 1.0, 10: 100.0, 100: 10_000.0}, 100.0, False),
        ({100: 300.0, 1: 1.0}, 3.0, False),
    ],
)
def test_growth_is_linear_where_one_more_costs_no_more(
    costs: dict[int, float], factor: float, met: bool
) -> None:
    growth = Growth("clients", "trindi", costs)
    assert growth.factor == pytest.approx(factor)
    assert growth.met is met


def test_growth_is_a_goal_of_trindi_alone() -> None:
    medians = {
        "raw": {"clients": {"1": 1.0, "1000": 1_000_000.0}},
        "floor": {"idle": {"CPU %": 1.0}},
    }
    [growth] = growths(medians)
    assert (growth.name, growth.axis, growth.factor, growth.met) == ("raw", "clients", 1000.0, None)


def test_every_goal_is_one_that_the_table_asks_for() -> None:
    assert {workload for workload, _ in GOALS} == {
        "stream1",
        "fanout10",
        "fanout100",
        "pingpong",
        "pipeline",
        "blob_down",
        "blob_up",
        "getprops",
        "decode",
        "idle",
        "fairness",
    }
