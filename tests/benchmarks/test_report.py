"""What was measured is told in full: tables, JSON, charts, and the part of a page."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING
from xml.etree.ElementTree import parse

import pytest

from benchmarks import charts, report
from benchmarks.__main__ import main
from benchmarks.contenders import CONTENDERS
from benchmarks.goals import PEERS
from benchmarks.report import Results

if TYPE_CHECKING:
    from pathlib import Path


def results() -> Results:
    return Results(
        rounds=3,
        quick=False,
        about={"processor": "Abacus", "cores": "2"},
        figures={
            "trindi": {
                "stream1": {"deliveries/s": [150_000.0, 160_000.0, 155_000.0]},
                "idle": {"CPU %": [0.0, 0.0, 0.0]},
                "clients": {"1": [10.0], "10": [40.0], "100": [400.0]},
            },
            "libindi": {
                "stream1": {"deliveries/s": [10_000.0, 11_000.0, 9_000.0]},
                "clients": {"1": [1.0], "10": [9.0]},
            },
        },
        missing={"indipydriver": "it cannot be installed here"},
        failed=["raw, stream1: TimeoutError: nothing more comes"],
    )


def cells(table: report.Table, key: str) -> dict[str, str]:
    [row] = [row for row in table[1:] if key in row]
    return {head: cell for head, cell in zip(table[0], row, strict=True) if head}


def test_the_tables_have_medians_ratios_and_goals() -> None:
    told = dict(report.tables(results()))
    medians = cells(told["Medians"], "stream1")
    assert medians["trindi"] == "155,000"
    assert medians["libindi"] == "10,000"
    assert medians["raw"] == report.NONE
    beside = cells(told["trindi beside its best peer, and beside each"], "stream1")
    assert (beside["best peer"], beside["its figure"]) == ("libindi", "10,000")
    assert (beside["ratio"], beside["goal"]) == ("15.5×", "≥ 15×")
    assert (beside["/libindi"], beside["/raw"]) == ("15.5×", report.NONE)
    [(_, growth)] = [item for item in told.items() if item[0].startswith("Growth")]
    assert growth[1] == ["trindi", "10.0", "40.0", "400", "1.00×", "≤ 2×", "met"]
    assert growth[2] == ["libindi", "1.00", "9.00", report.NONE, "1.00×", "", ""]


def test_the_text_says_whether_goals_are_met_and_what_is_not_there() -> None:
    text = report.text(results())
    [line] = [line for line in text.splitlines() if "≥ 15×" in line]
    assert " met" in line
    assert "not met" not in line
    assert "MISSING: indipydriver: it cannot be installed here" in text
    assert "FAILED: raw, stream1: TimeoutError: nothing more comes" in text


def test_a_goal_that_is_not_met_is_told_so() -> None:
    missed = results()
    missed.figures["trindi"]["stream1"]["deliveries/s"] = [149_000.0]
    assert "not met" in report.text(missed)


def test_a_table_of_every_contender_is_readable_in_120_columns() -> None:
    full = results()
    for name in CONTENDERS:
        full.figures[name] = {
            "blob_down": {"payload MB/s": [123_456.0]},
            "getprops": {"definitions/s": [12_345_678.0]},
            "clients": {str(10**power): [1e6] for power in range(4)},
        }
    full.missing, full.failed = {}, []
    assert max(map(len, report.text(full).splitlines())) <= 120


def test_a_markdown_table_has_as_many_cells_in_each_line() -> None:
    lines = [line for line in report.markdown(results()).splitlines() if line.startswith("|")]
    blocks = report.tables(results())
    assert [line.count("|") - 1 for line in lines] == [
        len(table[0]) for _, table in blocks for _ in range(len(table) + 1)
    ]


def test_json_keeps_everything(tmp_path: Path) -> None:
    path = tmp_path / "new" / "results.json"
    report.write_json(path, results())
    assert report.read_json(path) == results()
    kept = json.loads(path.read_text())
    [goal] = [goal for goal in kept["goals"] if goal["workload"] == "stream1"]
    assert (goal["best peer"], goal["ratio"], goal["met"]) == ("libindi", 15.5, True)
    assert kept["growth"][0]["met"] is True


# A page ------------------------------------------------------------------------------------------


def test_only_the_part_between_the_markers_is_written_anew(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Above.\n<!-- figures: begin -->\nold\n<!-- figures: end -->\nBelow.\n")
    report.rewrite(page, "figures", "new")
    assert page.read_text() == (
        "Above.\n<!-- figures: begin -->\nnew\n<!-- figures: end -->\nBelow.\n"
    )


def test_a_page_without_the_markers_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- figures: begin -->\n")
    with pytest.raises(ValueError, match="no place for figures"):
        report.rewrite(page, "figures", "new")
    assert page.read_text() == "<!-- figures: begin -->\n"


def test_results_are_reported_again_without_measuring(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report.write_json(tmp_path / "results.json", results())
    page = tmp_path / "page.md"
    page.write_text("<!-- figures: begin -->\n<!-- figures: end -->\n")
    redo = ["--redo", str(tmp_path / "results.json")]
    main([*redo, "--page", str(page), "--charts", str(tmp_path / "charts")])
    assert "| stream1 | deliveries/s | 155,000 |" in page.read_text()
    assert capsys.readouterr().out == report.text(results()) + "\n"


# Charts ------------------------------------------------------------------------------------------


def test_the_charts_are_svg(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    drawn = charts.draw(results().medians, tmp_path / "charts")
    assert [path.name for path in drawn] == ["ratios.svg", "medians.svg", "growth.svg"]
    for path in drawn:
        root = parse(path).getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "stream1" in drawn[0].read_text()


def test_the_same_figures_draw_the_same_charts(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    first, again = (charts.draw(results().medians, tmp_path / name) for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


def test_what_was_not_measured_is_not_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    medians = {"floor": {"stream1": {"deliveries/s": 1.0}, "clients": {"1": 1.0, "10": 2.0}}}
    assert [path.name for path in charts.draw(medians, tmp_path)] == ["growth.svg"]


def test_without_matplotlib_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert charts.draw(results().medians, tmp_path) == []
    assert "matplotlib is not installed" in capsys.readouterr().err


def test_every_contender_has_a_colour() -> None:
    assert charts.COLOURS.keys() == {*CONTENDERS, *PEERS}
