"""Every workload gives its figures, on real servers: small ones, and no figure is judged."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from defusedxml.ElementTree import DefusedXMLParser

from benchmarks import client, contenders, decode, measuring
from benchmarks.contenders import CONTENDERS, MissingError
from benchmarks.goals import GOALS
from benchmarks.measuring import ALL, Extent
from benchmarks.report import Results
from benchmarks.scale import Scale
from benchmarks.workloads import Sizes, percentile
from tests.kit.docs import need_tools

if TYPE_CHECKING:
    from pathlib import Path

TINY = Extent(
    Sizes(
        stream1=20,
        fanout10=3,
        fanout100=2,
        pingpong=5,
        pipeline=20,
        blob_bytes=1000,
        blob_down=2,
        blob_up=2,
        getprops=1,
    ),
    Scale(
        idle_clients=5,
        idle_seconds=0.01,
        clients=(1, 3),
        updates=2,
        properties=(10, 20),
        definitions=20,
        members=(1, 4),
        requests=5,
    ),
    fairness=0.1,
    decode=50,
)


@pytest.fixture(autouse=True)
def _build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = tmp_path / "not there in a fresh checkout"
    monkeypatch.setattr(contenders, "BUILD", build)
    monkeypatch.setattr(contenders, "LOG", build / "log")


def measured(*names: str, workloads: list[str] = ALL) -> Results:
    results = Results(rounds=1, quick=True, about={})
    measuring.measure(results, names, workloads, TINY)
    return results


@pytest.mark.slow
def test_every_goal_has_its_figure() -> None:
    results = measured("trindi")
    assert results.failed == []
    found = results.figures["trindi"]
    assert {
        (workload, metric) for workload, metrics in found.items() for metric in metrics
    } >= GOALS.keys()
    assert list(found["clients"]) == ["1", "3"]
    assert list(found["properties"]) == ["10", "20"]
    assert list(found["members"]) == ["1", "4"]


def test_the_floor_does_all_that_is_on_the_wire() -> None:
    results = measured("floor", workloads=["stream1", "fanout10", "pipeline", "blob_up", "members"])
    assert results.failed == []
    assert list(results.figures["floor"]) == [
        "stream1",
        "fanout10",
        "pipeline",
        "blob_up",
        "members",
    ]


@pytest.mark.interop
@pytest.mark.parametrize("name", ["raw", "trindi stdio"])
def test_a_driver_under_indiserver_does_all_that_is_on_the_wire(name: str) -> None:
    need_tools("indiserver")
    workloads = ["stream1", "pipeline", "blob_down", "blob_up", "getprops", "fairness"]
    results = measured(name, workloads=workloads)
    assert results.failed == []
    assert list(results.figures[name]) == workloads


def test_each_round_goes_the_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def measure_one(name: str) -> dict[str, float]:
        asked.append(name)
        return {}

    monkeypatch.setattr(measuring, "measurement", lambda *_: measure_one)
    measuring.measure(Results(2, quick=True, about={}), ["trindi", "floor"], ["stream1"], TINY)
    assert asked == ["trindi", "floor", "floor", "trindi"]


def test_who_takes_fewer_clients_has_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    few = replace(CONTENDERS["floor"], most_clients=2)
    monkeypatch.setitem(CONTENDERS, "floor", few)
    results = measured("floor", workloads=["fanout10", "idle", "clients", "fairness"])
    assert results.failed == []
    assert results.figures == {
        "floor": {"clients": {"1": results.figures["floor"]["clients"]["1"]}}
    }


def test_who_cannot_be_had_is_told_loudly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(port: int) -> list[str]:
        raise MissingError("a sextant is not installed")

    monkeypatch.setitem(CONTENDERS, "raw", replace(CONTENDERS["raw"], command=missing))
    results = measured("raw", "floor", workloads=["pingpong"])
    assert results.missing == {"raw": "a sextant is not installed"}
    assert list(results.figures) == ["floor"]
    assert "*** MISSING: raw: a sextant is not installed" in capsys.readouterr().err


SILENT = [
    sys.executable,
    "-c",
    "import socket, sys, time\n"
    "with socket.create_server(('127.0.0.1', int(sys.argv[1]))): time.sleep(60)",
]


def test_who_does_not_answer_is_told_and_the_others_are_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "PATIENCE", 0.2)
    silent = replace(CONTENDERS["raw"], command=lambda port: [*SILENT, str(port)])
    monkeypatch.setitem(CONTENDERS, "raw", silent)
    results = measured("raw", "floor", workloads=["pingpong"])
    [failure] = results.failed
    assert failure.startswith("raw, pingpong: TimeoutError")
    assert list(results.figures) == ["floor"]


def test_both_decoders_find_all_elements() -> None:
    alone = [decode.element(value) for value in range(10)]
    assert decode.ours(alone) == 10
    assert decode.bare(alone) == 10


def test_the_bare_parser_builds_what_an_element_is() -> None:
    target = decode.Target()
    parser = DefusedXMLParser(target=target)
    parser.feed(b"<root>" + decode.element(7))
    assert target.built == [
        (
            "setNumberVector",
            {
                "device": "Bench",
                "name": "value",
                "state": "Ok",
                "timeout": "0",
                "timestamp": "2026-01-02T03:04:05",
            },
            [("v", "7")],
        )
    ]


@pytest.mark.parametrize(("percent", "value"), [(0, 1.0), (50, 51.0), (99, 100.0), (100, 100.0)])
def test_a_percentile_is_a_value_that_was_measured(percent: int, value: float) -> None:
    assert percentile([float(each) for each in range(100, 0, -1)], percent) == value
