"""`trindi save-blobs`: files that are whole, in any number, and what is said of them."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest
from rich.progress import Progress as Bar

from tests.kit.cli import BRIEFLY, at, refusal, trindi
from tests.kit.processes import wait_until
from tests.kit.terminal import Terminal, plain
from trindi.cli import main
from trindi.cli.save_blobs import ProgressDisplay
from trindi.client import Progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trio.testing import MockClock

    from tests.kit.cli import Script, Served

FRAMES = [bytes([number]) * 300_000 for number in range(3)]


def exposing(served: Served, count: int) -> Callable[[], None]:
    """Publish frames once somebody wants them."""

    def expose() -> None:
        served.wait_until_wanted()
        for frame in FRAMES[:count]:
            served.call(served.bench.expose, frame)

    return expose


def save(served: Served, directory: Path, *options: str) -> Any:
    return trindi("save-blobs", *at(served), "Bench.frame", str(directory), *options)


def test_each_is_saved_and_its_path_printed(
    served: Served, beside: Callable[..., None], tmp_path: Path
) -> None:
    beside(exposing(served, 3))
    directory = tmp_path / "new" / "images"
    result = save(served, directory, "--count", "3")
    assert result.exit_code == 0, result.output
    paths = [directory / f"Bench.frame.image.000{number}.fits" for number in (1, 2, 3)]
    assert result.stdout.splitlines() == [str(path) for path in paths]
    assert [path.read_bytes() for path in paths] == FRAMES
    assert re.fullmatch(r"(300\.0 kB(, \d+\.\d [kMG]B/s)?\n){3}", result.stderr)


def test_what_was_there_stays(served: Served, beside: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / "Bench.frame.image.0001.fits").write_bytes(b"old")
    beside(exposing(served, 1))
    assert save(served, tmp_path, "-n", "1").exit_code == 0
    assert (tmp_path / "Bench.frame.image.0001.fits").read_bytes() == b"old"
    assert (tmp_path / "Bench.frame.image.0002.fits").read_bytes() == FRAMES[0]


def test_json(served: Served, beside: Callable[..., None], tmp_path: Path) -> None:
    beside(exposing(served, 1))
    about = json.loads(save(served, tmp_path, "-n", "1", "--json").stdout)
    rate = about.pop("bytes_per_second")
    assert rate is None or rate > 0
    assert about == {"path": str(tmp_path / "Bench.frame.image.0001.fits"), "size": 300_000}


def test_a_server_that_leaves(served: Served, beside: Callable[..., None], tmp_path: Path) -> None:
    def expose_and_leave() -> None:
        exposing(served, 1)()
        wait_until(lambda: list(tmp_path.glob("*.fits")), "one is saved")
        served.close()

    beside(expose_and_leave)
    result = save(served, tmp_path)
    assert result.exit_code == 1
    assert result.stderr.endswith("Error: the server has closed the connection; 1 saved\n")


@pytest.mark.parametrize(("options", "status"), [((), 0), (("--count", "3"), 130)])
def test_ctrl_c_ends_it(
    served: Served,
    beside: Callable[..., None],
    tmp_path: Path,
    options: tuple[str, ...],
    status: int,
) -> None:
    def expose_and_interrupt() -> None:
        exposing(served, 1)()
        wait_until(lambda: list(tmp_path.glob("*.fits")), "one is saved")
        os.kill(os.getpid(), signal.SIGINT)

    beside(expose_and_interrupt)
    # Without a number of files it is the normal end.
    assert save(served, tmp_path, *options).exit_code == status


def test_what_is_no_blob(served: Served, tmp_path: Path) -> None:
    said = refusal("save-blobs", *at(served), "Bench.note", str(tmp_path))
    assert said == "Bench.note is a Text vector, and has no BLOBs"


def test_what_is_never_sent(script: Callable[..., Script], tmp_path: Path) -> None:
    server = script(
        b"<defBLOBVector device='D' name='v' state='Ok' perm='wo'><defBLOB name='b'/>"
        b"</defBLOBVector>"
    )
    said = refusal("save-blobs", *at(server), "D.v", str(tmp_path))
    assert said == "D.v is write-only: its BLOBs are never sent"


def test_what_is_not_there(script: Callable[..., Script], tmp_path: Path) -> None:
    server = script(b"")
    said = refusal("save-blobs", *at(server), "A.b", str(tmp_path), *BRIEFLY)
    assert said == f"no A.b from 127.0.0.1:{server.port}"


def test_a_directory_that_cannot_be_made(served: Served, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    place = str(tmp_path / "file" / "below")
    said = refusal("save-blobs", *at(served), "Bench.frame", place)
    assert said == f"{place}: Not a directory"


@pytest.mark.parametrize(
    "arguments", [["A", "."], ["A.b.c", "."], ["A.*", "."], ["A.b"], ["A.b", ""]]
)
def test_wrong_usage(arguments: list[str]) -> None:
    refusal("save-blobs", *arguments, status=2)


def test_a_bar_in_a_terminal(
    served: Served,
    beside: Callable[..., None],
    tmp_path: Path,
    terminal: Terminal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, terminal.open("w"))
    beside(exposing(served, 3))
    with pytest.raises(SystemExit) as ended:
        main(["save-blobs", *at(served), "Bench.frame", str(tmp_path), "-n", "3"])
    assert ended.value.code == 0
    said = wait_until(lambda: plain(terminal.said) if terminal.is_restored else "", "it is over")
    # Each path has a line of its own, above the bar.
    for number in (1, 2, 3):
        assert re.search(rf"[\r\n]{tmp_path}/Bench.frame.image.000{number}.fits *\r\n", said)
    assert "300.0/300.0 kB" in said
    assert "3 saved" in said.splitlines()[-1]


def test_a_bar_beside_a_file(
    served: Served,
    beside: Callable[..., None],
    tmp_path: Path,
    terminal: Terminal,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys, "stderr", terminal.open("w"))
    beside(exposing(served, 1))
    with pytest.raises(SystemExit):
        main(["save-blobs", *at(served), "Bench.frame", str(tmp_path), "-n", "1"])
    assert capsys.readouterr().out == f"{tmp_path}/Bench.frame.image.0001.fits\n"
    wait_until(lambda: "1 saved" in terminal.said, "the bar is there")
    assert "fits" not in terminal.said


# How fast ----------------------------------------------------------------------------------------


async def test_the_rate_is_that_of_each_blob(mock_clock: MockClock) -> None:
    bar = Bar(disable=True)
    bar.add_task("")
    (task,) = bar.tasks
    display = ProgressDisplay(bar)
    told: list[tuple[float, float | None]] = []
    rates: list[float | None] = []
    for received, seconds in ((0, 2.0), (500, 2.0), (1000, 100.0), (10, 1.0), (1000, 0.0)):
        display(Progress("D", "v", received, 1000))
        told.append((task.completed, task.total))
        rates.append(display.rate(received))
        mock_clock.jump(seconds)
    assert told == [(0, 1000), (500, 1000), (1000, 1000), (10, 1000), (1000, 1000)]
    assert rates == [None, 250, 250, None, 1000]
    display(Progress("D", "v", 2000, 2000))
    assert display.rate(2000) is None


async def test_a_blob_that_is_given_up_does_not_count(mock_clock: MockClock) -> None:
    display = ProgressDisplay()
    for received, total in ((500, None), (100, None), (200, None)):
        display(Progress("D", "v", received, total))
        mock_clock.jump(1)
    assert display.rate(200) == 200
