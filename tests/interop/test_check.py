"""`trindi check` on Debian's simulators, alone and behind the stock server."""

from __future__ import annotations

import importlib
import json
import shlex
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio
from click.testing import CliRunner

from tests.kit.conformance import findings
from tests.kit.docs import DOCS, SNIPPETS
from trindi.cli import main
from trindi.conformance import Options, Server, Timing, Verdict, check

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.kit.interop import Bench

SIMULATORS = {
    "indi_simulator_ccd": "CCD Simulator",
    "indi_simulator_focus": "Focuser Simulator",
    "indi_simulator_telescope": "Telescope Simulator",
    "indi_simulator_weather": "Weather Simulator",
}

pytestmark = pytest.mark.slow

ALIVE = ("_COORD", "TIME", "WEATHER_", "TEMPERATURE", "MOUNT_AXES", "PIER_SIDE", "FWHM")
"""Parts of the names of what changes of its own accord."""


QUICK = Options(timeout=2, timing=Timing(settle=2), input_scale=0.01)
"""The simulators report all the time, so waiting for silence only takes time."""


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The module that makes the tables of the page; the simulators keep their files elsewhere."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.syspath_prepend(str(DOCS))
    yield importlib.import_module("checks")
    del sys.modules["checks"]


@pytest.mark.usefixtures("_tools")
def test_the_simulators_do_what_the_page_says(checks: Any) -> None:
    version, written = checks.written_findings()
    reports = trio.run(checks.check_simulators, 2.0)
    for report in reports.values():
        # Whatever the version: what a driver cannot do without.
        for rule in ("def-required", "ask-all", "ask-again", "ask-device", "eof", "one-socket"):
            assert report.outcomes[rule].verdict is Verdict.PASS, report.outcomes[rule]
    assert reports["indi_simulator_ccd"].outcomes["blob-size"].verdict is Verdict.PASS
    if checks.version() == version:
        found = [each[:3] for each in checks.findings(reports)]
        assert found == [each[:3] for each in written]


@pytest.mark.usefixtures("_tools")
def test_the_camera_is_checked_as_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    text = (SNIPPETS / "check_camera.console").read_text(encoding="utf-8")
    _dollar, _trindi, *arguments = shlex.split(text)
    result = CliRunner().invoke(main, [*arguments, "--no-hostile", "--timeout", "2", "--json"])
    assert result.exit_code in (0, 1), result.output
    rules = {each["rule"]: each for each in json.loads(result.stdout)["rules"]}
    for rule in ("blob-size", "blob-format", "blob-base64", "blob-layout"):
        assert rules[rule]["verdict"] == "pass"


def settled(bench: Bench, port: int) -> dict[str, str]:
    """Return the values that do not change of their own accord."""
    return {
        place: value
        for place, value in bench.get_all(port).items()
        if not any(part in place for part in ALIVE)
    }


def test_behind_indiserver_nothing_is_changed(bench: Bench) -> None:
    server = bench.indiserver(*SIMULATORS)
    for device in SIMULATORS.values():
        bench.get(server.port, f"{device}.CONNECTION.CONNECT")
        bench.set(server.port, f"{device}.CONNECTION.CONNECT=On")
        bench.wait_for(server.port, f"{device}.CONNECTION._STATE", "Ok")
    before = settled(bench, server.port)
    report = trio.run(check, Server("localhost", server.port), QUICK)
    assert set(report.devices) == set(SIMULATORS.values())
    assert settled(bench, server.port) == before
    assert len(before) > 200
    assert server.process.poll() is None
    # No driver has ended, and none was started again.
    assert "restart" not in server.log.read_text()
    # It is libindi's drivers that break rules, not the server.
    assert {"two-clients", "only-asked", "blob-gate", "cut-off"} & findings(report).keys() == set()
