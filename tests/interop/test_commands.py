"""trindi's commands beside libindi's, on the same servers: the stock one, and trindi's own."""

from __future__ import annotations

import re
import shutil
import signal
from typing import TYPE_CHECKING

import pytest

from tests.kit.cli import lines, refusal, trindi
from tests.kit.processes import DEADLINE, EXAMPLES, run_python, start_python, wait_until
from tests.kit.terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kit.interop import Bench

SIMULATORS = ("indi_simulator_ccd", "indi_simulator_telescope", "indi_simulator_weather")


def simulators(*names: str) -> list[str]:
    found = [shutil.which(name) for name in names]
    assert all(found), "the simulators are part of indi-bin"
    return [path for path in found if path]


@pytest.fixture(params=["indiserver", "trindi"])
def port(request: pytest.FixtureRequest, bench: Bench) -> int:
    """A server whose values stay as they are."""
    if request.param == "trindi":
        return bench.trindi_serve(EXAMPLES / "camera.py", EXAMPLES / "focuser.py").port
    return bench.indiserver(*simulators(*SIMULATORS)).port


@pytest.fixture
def indiserver(bench: Bench) -> int:
    return bench.indiserver(*simulators(*SIMULATORS)).port


def at(port: int) -> tuple[str, ...]:
    return ("--host", "127.0.0.1", "--port", str(port))


# get ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "patterns",
    [
        [],
        ["*.*.*"],
        ["-w", "*.*._PERM"],
        ["*.*._STATE"],
        ["*.*._LABEL"],
        ["*.*._GROUP", "*.*._TO"],
    ],
    ids=lambda patterns: " ".join(patterns) or "all",
)
def test_get_prints_the_lines_of_indi_getprop(port: int, bench: Bench, patterns: list[str]) -> None:
    theirs = bench.run("indi_getprop", port, *patterns)
    assert theirs.returncode == 0
    # It prints a property as often as it is defined, and who else connects makes that more often.
    assert sorted(lines("get", *at(port), *patterns)) == sorted(set(theirs.stdout.splitlines()))


def test_get_prints_one_value_as_indi_getprop_does(port: int, bench: Bench) -> None:
    every = lines("get", *at(port))
    places = [line.partition("=")[0] for line in every]
    for place in places[:: len(places) // 4]:
        theirs = bench.run("indi_getprop", port, "-1", place)
        assert lines("get", *at(port), "-1", place) == theirs.stdout.splitlines()
        theirs = bench.run("indi_getprop", port, place)
        assert lines("get", *at(port), place) == theirs.stdout.splitlines()


def test_get_prints_timestamps_in_the_form_of_indi_getprop(port: int, bench: Bench) -> None:
    theirs = bench.run("indi_getprop", port, "*.*._TS").stdout.splitlines()
    ours = lines("get", *at(port), "*.*._TS")
    form = re.compile(r"(.*\._TS)=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?")
    named = [{(form.fullmatch(line) or [line, line])[1] for line in one} for one in (ours, theirs)]
    assert named[0] == named[1]
    assert all(name.endswith("._TS") for name in named[0])


def test_get_misses_what_indi_getprop_misses(port: int, bench: Bench) -> None:
    for place in ("Nobody.a.b", "*.nothing.*"):
        theirs = bench.run("indi_getprop", port, "-t", "1", place)
        assert theirs.returncode == 1
        said = refusal("get", *at(port), "-t", "1", place)
        assert said == f"no {place} from 127.0.0.1:{port}"


def test_get_names_what_is_like_what_is_not_there(port: int) -> None:
    device, vector = lines("get", *at(port))[0].split(".")[:2]
    for wanted, alike in [
        (f"{device}s.a.b", device),
        (f"{device}.{vector}S", f"{device}.{vector}"),
    ]:
        said = refusal("get", *at(port), "-t", "1", wanted)
        assert said.startswith(f"no {wanted} (did you mean {alike}")


# set ---------------------------------------------------------------------------------------------


def test_what_set_has_set_indi_getprop_sees(port: int, bench: Bench) -> None:
    every = {line.partition("=")[0] for line in lines("get", *at(port))}
    (place,) = every & {"CCD Simulator.SIMULATOR_SETTINGS.SIM_XRES", "Camera.CCD_FRAME.WIDTH"}
    assert lines("set", *at(port), f"{place}=600") == []
    bench.wait_for(port, place, "600")


def test_a_camera_is_connected_and_exposes_in_one_command(indiserver: int) -> None:
    camera = "CCD Simulator"
    arguments = [f"{camera}.CONNECTION.CONNECT=On", f"{camera}.CCD_EXPOSURE.CCD_EXPOSURE_VALUE=1"]
    result = trindi("set", *at(indiserver), "--wait", *arguments)
    assert (result.exit_code, result.stdout) == (0, "")
    # What the camera says meanwhile, such as that it knows no telescope.
    assert all(line.startswith(f"{camera}: [") for line in result.stderr.splitlines())
    exposure = f"{camera}.CCD_EXPOSURE"
    assert lines("get", *at(indiserver), "-1", f"{exposure}._STATE") == ["Ok"]
    said = refusal("set", *at(indiserver), f"{exposure}.CCD_EXPOSURE_VALUE=4000")
    assert said.startswith(f"cannot set {exposure}: CCD_EXPOSURE_VALUE is between 0.01 and 3600")


def test_an_alert_of_libindi_comes_with_its_words(indiserver: int) -> None:
    camera = "CCD Simulator"
    said = refusal("set", *at(indiserver), "--wait", f"{camera}.CONFIG_PROCESS.CONFIG_LOAD=On")
    assert said.startswith(f"{camera}.CONFIG_PROCESS is in Alert: [INFO] No previous configuration")


# wait --------------------------------------------------------------------------------------------


def test_wait_for_an_exposure(indiserver: int) -> None:
    exposure = '"CCD Simulator".CCD_EXPOSURE'
    setting = "CCD Simulator.CCD_EXPOSURE.CCD_EXPOSURE_VALUE=1"
    connected = "CCD Simulator.CONNECTION.CONNECT=On"
    assert lines("set", *at(indiserver), "--wait", connected) == []
    assert lines("wait", *at(indiserver), "-t", "30", f"{exposure}._STATE == Idle") == []
    assert lines("set", *at(indiserver), setting) == []
    done = f"{exposure}._STATE == Ok and {exposure}.CCD_EXPOSURE_VALUE == 0"
    assert lines("wait", *at(indiserver), "-t", "30", done) == []


# save-blobs, record, replay and watch ------------------------------------------------------------


def exposed(port: int) -> bool:
    exposure = "CCD Simulator.CCD_EXPOSURE.CCD_EXPOSURE_VALUE=0.1"
    done = run_python("-m", "trindi", "set", *at(port), "--wait", exposure)
    return done.returncode == 0


@pytest.mark.slow
def test_an_image_of_a_camera_is_saved_recorded_and_shown_again(
    indiserver: int, tmp_path: Path
) -> None:
    connected = "CCD Simulator.CONNECTION.CONNECT=On"
    assert lines("set", *at(indiserver), "--wait", connected) == []
    night, images = tmp_path / "night.jsonl", tmp_path / "images"
    recording = start_python(
        "-m", "trindi", "record", *at(indiserver), "--blobs", night, "CCD Simulator"
    )
    saving = start_python(
        "-m", "trindi", "save-blobs", *at(indiserver), "CCD Simulator.CCD1", images, "-n", "1"
    )
    try:
        wait_until(lambda: night.exists() and "CCD1" in night.read_text(), "it records")
        wait_until(lambda: exposed(indiserver) and saving.poll() is not None, "one is saved")
        assert saving.returncode == 0
        wait_until(lambda: list(tmp_path.glob("night.jsonl.blobs/*")), "one is recorded")
        recording.send_signal(signal.SIGINT)
        assert recording.wait(DEADLINE) == 0
    finally:
        for process in (recording, saving):
            process.kill()
            process.wait()
    (image,) = images.iterdir()
    assert image.name == "CCD Simulator.CCD1.CCD1.0001.fits"
    assert image.read_bytes().startswith(b"SIMPLE  =                    T")
    log = tmp_path / "log"
    arguments = ["--serve", "0", "--speed", "inf"]
    replaying = start_python("-m", "trindi", "replay", night, *arguments, log=log)
    try:
        port = wait_until(lambda: re.search(r" port (\d+)", log.read_text()), "it is replayed")[1]
        shown = lines("get", *at(int(port)), "-1", "CCD Simulator.CONNECTION.CONNECT")
        assert shown == ["On"]
    finally:
        replaying.kill()
        replaying.wait()


def test_watch_shows_simulators(indiserver: int) -> None:
    terminal = Terminal(80, 30)
    watching = terminal.start("watch", *at(indiserver), "*Simulator")
    try:
        shown = terminal.wait(lambda lines: "    DISCONNECT" in str(lines), "a property")
        heads = {line.split("   ")[0] for line in shown}
        assert heads & {"CCD Simulator", "Telescope Simulator", "Weather Simulator"}
        # Names are whole, and so each can be told from the others.
        names = [line.strip().split("  ")[0] for line in shown[2:-1]]
        assert "…" not in "".join(names)
        terminal.press("/driver_name\r")
        terminal.wait(
            lambda lines: sum("DRIVER_NAME" in line for line in lines) == len(SIMULATORS), "names"
        )
        terminal.press("q")
        assert watching.wait(DEADLINE) == 0
    finally:
        watching.kill()
        watching.wait()
        terminal.close()
