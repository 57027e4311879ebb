"""Every example keeps the rules: each as a program, and those of one server together.

So does each driver of the docs, as `trindi check` sees it.
"""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.kit.cli import trindi
from tests.kit.conformance import SMALL, findings
from tests.kit.docs import SNIPPETS
from tests.kit.processes import EXAMPLES, start_python, wait_until
from trindi.conformance import Options, Program, Server, Verdict, check

if TYPE_CHECKING:
    from pathlib import Path

    from trindi.conformance import Report

RUN = "import sys, trio, {name}; trio.run({name}.make_driver().run)"

# Two drivers are no program.
PROGRAMS = sorted(
    path.stem
    for path in EXAMPLES.glob("*.py")
    if "def make_driver" in path.read_text(encoding="utf-8") and path.stem != "two_drivers"
)


DRIVERS = sorted(
    path.name
    for path in SNIPPETS.glob("*.py")
    if "def make_driver" in path.read_text(encoding="utf-8")
)

# Its heater is not connected, and it says so.
WARNED = {"serial_heater.py": {"write-answered": "the heater is not connected"}}


@pytest.mark.slow
@pytest.mark.parametrize("name", DRIVERS)
def test_each_driver_of_the_docs_keeps_the_rules(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One of them writes a file.
    monkeypatch.chdir(tmp_path)
    result = trindi("check", str(SNIPPETS / name), "--write", "--json")
    assert result.exit_code == 0, result.output
    rules = json.loads(result.stdout)["rules"]
    seen = {one["rule"]: one["seen"] for one in rules if one["verdict"] in ("warn", "fail")}
    expected = WARNED.get(name, {})
    assert seen.keys() == expected.keys(), seen
    assert all(expected[rule] in seen[rule][0] for rule in expected)


@pytest.fixture(scope="module")
def reports() -> dict[str, Report]:
    """Check all programs, two at a time."""
    found: dict[str, Report] = {}
    limiter = trio.CapacityLimiter(2)

    async def check_one(name: str) -> None:
        command = [sys.executable, "-c", RUN.format(name=name)]
        # One of them gets large inputs in full size.
        scale = 1.0 if name == "led" else SMALL
        options = Options(write=True, hostile=True, input_scale=scale)
        async with limiter:
            found[name] = await check(Program(name, command), options)

    async def check_all() -> None:
        async with trio.open_nursery() as nursery:
            for name in PROGRAMS:
                nursery.start_soon(check_one, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(EXAMPLES)
        patch.setenv("PYTHONPATH", f"{EXAMPLES.parent}")
        trio.run(check_all)
    return found


def test_these_are_all() -> None:
    assert set(PROGRAMS) >= {
        "camera",
        "focuser",
        "led",
        "thermostat",
        "thermostat_target",
        "window",
    }


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_example_keeps_the_rules_as_a_program(reports: dict[str, Report], name: str) -> None:
    report = reports[name]
    assert findings(report) == {}, report.outcomes
    assert report.outcomes["eof"].verdict is Verdict.PASS
    assert report.devices


def test_the_examples_keep_the_rules_in_one_server(tmp_path: Path) -> None:
    log = tmp_path / "log"
    targets = [EXAMPLES / f"{name}.py" for name in ("two_drivers", "led", "camera", "focuser")]
    process = start_python("-m", "trindi", "serve", *targets, "--port", "0", log=log)
    try:
        found = wait_until(
            lambda: re.search(r"^Serving .* port (\d+)", log.read_text(), re.MULTILINE), "it serves"
        )
        options = Options(
            write=True,
            hostile=True,
            settings=("Camera.CCD_EXPOSURE.CCD_EXPOSURE_VALUE=0.1",),
            input_scale=SMALL,
        )
        report: Any = trio.run(check, Server("localhost", int(found[1])), options)
    finally:
        process.kill()
        process.wait()
    assert findings(report) == {}, report.outcomes
    assert set(report.devices) == {"Thermostat", "Window", "LED", "Camera", "Focuser"}
    # The image has been seen, and only by the client that had asked for it.
    assert report.outcomes["blob-size"].verdict is Verdict.PASS
    assert report.outcomes["blob-gate"].verdict is Verdict.PASS
    assert report.outcomes["slow-reader"].verdict is Verdict.PASS
