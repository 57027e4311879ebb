"""`trindi record` and `trindi replay`: what was said is there, and is said again."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from datetime import date
from typing import TYPE_CHECKING

import click
import pytest
import trio

from tests.kit.cli import Served, at, lines, refusal, trindi
from tests.kit.processes import (
    DEADLINE,
    ENVIRONMENT,
    ROOT,
    free_port,
    start_python,
    wait_until,
)
from tests.kit.server import Bench
from trindi import (
    defBLOBVector,
    defNumberVector,
    enableBLOB,
    getProperties,
    setBLOBVector,
    setNumberVector,
)
from trindi.cli import client_app
from trindi.cli.record import Recorder
from trindi.protocol import encode
from trindi.recording import EndOfStream, Recording

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.kit.cli import Background, Script


def counting(served: Served, path: Path) -> Callable[[], None]:
    """Let something happen once it is recorded."""

    def count() -> None:
        wait_until(lambda: path.exists() and "pingReply" in path.read_text(), "it is recorded")
        served.call(served.bench.count, 3)

    return count


def test_what_a_server_says_is_recorded(
    served: Served, beside: Callable[..., None], tmp_path: Path
) -> None:
    path = tmp_path / "night.jsonl"
    beside(counting(served, path))
    result = trindi("record", *at(served), str(path), "--duration", "1")
    assert result.exit_code == 0, result.output
    place = f"127.0.0.1:{served.port}"
    assert result.stderr == f"Recording {place} in {path} until 1 s have passed\n"
    assert result.stdout == ""
    recording = Recording(path)
    assert recording.said_by("client")[0] == getProperties()
    said = recording.said_by("server")
    assert {one.devicename for one in said if isinstance(one, defNumberVector)} == {
        "Bench",
        "My Shop",
    }
    counted = [one["n"] for one in said if isinstance(one, setNumberVector)]
    assert counted == [1, 2, 3]
    assert isinstance(list(recording)[-1].item, EndOfStream)


def test_devices_are_asked_for_where_they_are_named(served: Served, tmp_path: Path) -> None:
    path = tmp_path / "night.jsonl"
    arguments = [str(path), "My Shop", "--duration", "1.5"]
    assert trindi("record", *at(served), *arguments).exit_code == 0
    said = Recording(path).said_by("server")
    assert {getattr(one, "devicename", "My Shop") for one in said} == {"My Shop"}


def test_blobs_are_recorded_where_they_are_wanted(
    served: Served, beside: Callable[..., None], tmp_path: Path
) -> None:
    path = tmp_path / "night.jsonl"
    frame = bytes(range(256)) * 100

    def expose() -> None:
        # It is recorded before it is sent: only the driver knows that it has come.
        served.wait_until_wanted()
        served.call(served.bench.expose, frame)

    beside(expose)
    arguments = [str(path), "--blobs", "--duration", "3"]
    assert trindi("record", *at(served), *arguments).exit_code == 0
    recording = Recording(path)
    wanted = [one.vectorname for one in recording.said_by("client") if isinstance(one, enableBLOB)]
    defined = recording.said_by("server")
    assert wanted == [one.vectorname for one in defined if isinstance(one, defBLOBVector)]
    (blob,) = [one for one in recording.said_by("server") if isinstance(one, setBLOBVector)]
    assert blob["image"] == frame


def test_what_is_defined_twice_is_asked_for_once(
    script: Callable[..., Script], tmp_path: Path
) -> None:
    defined = (
        b"<defBLOBVector device='D' name='v' state='Ok' perm='ro'><defBLOB name='b'/>"
        b"</defBLOBVector>"
    )
    server = script(defined + defined)
    path = tmp_path / "night.jsonl"
    result = trindi("record", *at(server), str(path), "--blobs", "--duration", "1.5")
    assert result.exit_code == 0
    said = Recording(path).said_by("client")
    assert [one.vectorname for one in said if isinstance(one, enableBLOB)] == ["v"]


def test_ctrl_c_ends_a_recording_that_is_whole(served: Served, tmp_path: Path) -> None:
    path = tmp_path / "night.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-m", "trindi", "record", *at(served), str(path)],
        cwd=ROOT,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: path.exists() and "pingReply" in path.read_text(), "it is recorded")
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=DEADLINE)
    finally:
        process.kill()
    # It is how a recording ends.
    assert process.returncode == 0
    assert stderr == f"Recording 127.0.0.1:{served.port} in {path} until Ctrl-C\n"
    assert isinstance(list(Recording(path))[-1].item, EndOfStream)


# What is not there -------------------------------------------------------------------------------


def test_a_device_that_is_not_there(served: Served, tmp_path: Path) -> None:
    path = tmp_path / "night.jsonl"
    result = trindi("record", *at(served), str(path), "Nope", "Neither", "--duration", "1.5")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[1:] == [
        f"Error: nothing was heard of Nope, Neither from 127.0.0.1:{served.port}: "
        "nothing is recorded"
    ]
    assert not path.exists()


def test_one_of_two_devices_that_is_not_there(served: Served, tmp_path: Path) -> None:
    path = tmp_path / "night.jsonl"
    result = trindi("record", *at(served), str(path), "Nope", "Bench", "--duration", "1.5")
    assert result.exit_code == 0
    said = f"Recorded, but nothing was heard of Nope from 127.0.0.1:{served.port}"
    assert result.stderr.splitlines()[1:] == [said]


def test_what_others_say_is_not_what_was_asked_for(
    script: Callable[..., Script], tmp_path: Path
) -> None:
    server = script(b"<message device='D' message='good night'/><message message='all'/>")
    arguments = [*at(server), str(tmp_path / "night.jsonl"), "--duration", "1.5"]
    assert trindi("record", *arguments, "E").exit_code == 1
    assert not list(tmp_path.iterdir())
    assert trindi("record", *arguments, "D").exit_code == 0
    assert trindi("record", *arguments, "--append").exit_code == 0


def test_a_server_that_says_nothing(
    script: Callable[..., Script],
    beside: Callable[..., None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server = script(b"")
    path = tmp_path / "night.jsonl"

    def interrupt() -> None:
        wait_until(lambda: b"getProperties" in bytes(server.heard), "it has asked")
        os.kill(os.getpid(), signal.SIGINT)

    beside(interrupt)
    # Nobody is to find that out in the morning.
    silence = f"nothing was heard from 127.0.0.1:{server.port}"
    with pytest.raises(click.ClickException, match=f"^{silence}: nothing is recorded$"):
        Recorder("127.0.0.1", server.port, str(path), notice_after=0).run()
    said = capsys.readouterr().err.splitlines()
    assert said[1:] == [f"So far {silence}; still waiting"]
    assert not path.exists()


def test_who_is_heard_is_not_told_of(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "night.jsonl"
    Recorder("127.0.0.1", served.port, str(path), duration=0.5, notice_after=0.2).run()
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_ctrl_c_before_it_is_connected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def interrupt(_host: str, _port: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await trio.sleep_forever()

    monkeypatch.setattr(client_app, "open_tcp", interrupt)
    result = trindi("record", str(tmp_path / "night.jsonl"))
    assert result.exit_code == 130
    assert result.output == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["night.jsonl/", "night.jsonl/.", "..", "", "-"])
def test_what_is_no_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = refusal("record", name, status=2)
    assert "name a file" in said or f"'{name}' names a directory" in said
    assert not list(tmp_path.iterdir())


def test_a_server_that_leaves(script: Callable[..., Script], tmp_path: Path) -> None:
    server = script(b"<message device='D' message='good night'/>", stays=0)
    path = tmp_path / "night.jsonl"
    result = trindi("record", *at(server), str(path))
    assert result.exit_code == 1
    assert result.stderr.splitlines()[1:] == ["Error: the server has closed the connection"]
    assert "good night" in path.read_text()


def test_a_file_that_cannot_be_written(served: Served, tmp_path: Path) -> None:
    path = tmp_path / "no" / "night.jsonl"
    said = refusal("record", *at(served), str(path))
    assert said == f"{path}: No such file or directory"


def test_a_disk_that_fills(served: Served, beside: Callable[..., None], tmp_path: Path) -> None:
    path = tmp_path / "night.jsonl"
    beside(lambda: _count_until(served, path))
    with pytest.raises(click.ClickException, match=f"^{path}: it has reached its bound$"):
        Recorder("127.0.0.1", served.port, str(path), max_bytes=6000).run()


def _count_until(served: Served, path: Path) -> None:
    wait_until(lambda: path.exists() and path.stat().st_size > 3000, "it is recorded")
    served.call(served.bench.count, 100)


# One that is there already -----------------------------------------------------------------------


def test_a_file_that_is_no_recording_is_never_touched(served: Served, tmp_path: Path) -> None:
    path = tmp_path / "thesis.tex"
    path.write_text("years of work")
    for options in ([], ["--append"]):
        said = refusal("record", *at(served), str(path), "--duration", "1.5", *options)
        assert said == f"{path} is not a recording made by trindi"
    assert path.read_text() == "years of work"


def test_an_earlier_recording_is_never_written_over(
    served: Served, script: Callable[..., Script], tmp_path: Path
) -> None:
    path = tmp_path / "night.jsonl"
    arguments = ["record", str(path), "--duration", "1.5"]
    assert trindi(*arguments, *at(served)).exit_code == 0
    before = path.read_bytes()
    said = refusal(*arguments, *at(served))
    assert said == f"{path} is there already: append to it, or name another file"
    # Nor is it changed where nothing is heard.
    assert trindi(*arguments, *at(script(b"")), "--append").exit_code == 1
    assert path.read_bytes() == before


def test_a_recording_is_gone_on_with(
    served: Served, script: Callable[..., Script], tmp_path: Path
) -> None:
    path = tmp_path / "night.jsonl"
    arguments = ["record", str(path), "--duration", "1.5", "--append"]
    assert trindi(*arguments, *at(served)).exit_code == 0
    before = path.read_text()
    server = script(b"<message device='D' message='good morning'/>")
    assert trindi(*arguments, *at(server)).exit_code == 0
    assert path.read_text().startswith(before)
    entries = list(Recording(path))
    ends = [entry for entry in entries if isinstance(entry.item, EndOfStream)]
    assert len(ends) == 2
    later = entries[entries.index(ends[0]) + 1 :]
    assert getProperties() in [entry.item for entry in later]
    assert later[0].time >= ends[0].time
    assert any(getattr(entry.item, "message", "") == "good morning" for entry in later)


def test_without_a_name_it_has_that_of_the_night(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = date.today()
    assert trindi("record", *at(served), "--duration", "1.5").exit_code == 0
    (path,) = tmp_path.iterdir()
    assert path.name in {f"night-{day:%Y-%m-%d}.jsonl" for day in (before, date.today())}
    assert Recording(path).said_by("server")


def test_a_night_survives_a_restart_of_the_server(
    tmp_path: Path, started: list[Background], beside: Callable[..., None]
) -> None:
    path = tmp_path / "night.jsonl"
    port = free_port()
    started.append(Served(port=port))

    def restart() -> None:
        wait_until(lambda: path.exists() and "pingReply" in path.read_text(), "it is recorded")
        started.pop().close()
        started.append(Served(Bench(), port=port))
        wait_until(lambda: path.read_text().count('"pingReply"') > 1, "it is recorded again")
        os.kill(os.getpid(), signal.SIGINT)

    beside(restart)
    result = trindi("record", "--host", "127.0.0.1", "-p", str(port), str(path), "--reconnect")
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[1:] == [f"Connected to 127.0.0.1:{port} again"]
    recording = Recording(path)
    asked = [one for one in recording.said_by("client") if isinstance(one, getProperties)]
    assert asked == [getProperties()] * 2
    defined = [one for one in recording.said_by("server") if isinstance(one, defNumberVector)]
    assert [one.devicename for one in defined if one.vectorname == "target"] == ["Bench"] * 2


# Replay ------------------------------------------------------------------------------------------


@pytest.fixture
def recording(served: Served, beside: Callable[..., None], tmp_path: Path) -> Path:
    path = tmp_path / "night.jsonl"
    beside(counting(served, path))
    arguments = [str(path), "--duration", "1.5", "Bench"]
    assert trindi("record", *at(served), *arguments).exit_code == 0
    return path


@pytest.mark.parametrize("speed", [[], ["--speed", "inf"], ["--speed", "60"]], ids=" ".join)
def test_a_recording_is_served(recording: Path, tmp_path: Path, speed: list[str]) -> None:
    log = tmp_path / "log"
    arguments = [str(recording), "--serve", "0", "--host", "127.0.0.1", *speed]
    process = start_python("-m", "trindi", "replay", *arguments, log=log)
    try:
        line = wait_until(log.read_text, "it serves")
        assert line.startswith("Serving Bench on 127.0.0.1 port ")
        port = ("--host", "127.0.0.1", "-p", line.split()[-1])
        assert lines("wait", *port, "-t", "30", "Bench.count.n == 3") == []
        assert lines("get", *port, "-1", "Bench.serial.number") == ["42"]
        assert lines("set", *port, "Bench.note.a=new") == []
        assert lines("get", *port, "-1", "Bench.note.a") == [""]
    finally:
        process.terminate()
        assert process.wait(DEADLINE) == 0


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_replay_goes_on_until_it_is_told_to_stop(
    recording: Path, beside: Callable[..., None], signum: signal.Signals
) -> None:
    port = free_port()
    heard = bytearray()

    def listen() -> None:
        def ask() -> bytes:
            address = ("127.0.0.1", port)
            with (
                suppress(ConnectionRefusedError),
                socket.create_connection(address, DEADLINE) as connection,
            ):
                connection.sendall(encode(getProperties()))
                while b"count" not in heard:
                    heard.extend(connection.recv(4096))
            return bytes(heard)

        wait_until(ask, "it serves")
        os.kill(os.getpid(), signum)

    beside(listen)
    result = trindi("replay", str(recording), "--host", "127.0.0.1", "--serve", str(port))
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"Serving Bench on 127.0.0.1 port {port}\n"


def test_a_replay_on_a_port_in_use(recording: Path, served: Served) -> None:
    options = ["--host", "127.0.0.1", "--serve", str(served.port)]
    said = refusal("replay", str(recording), *options)
    reason = os.strerror(errno.EADDRINUSE)
    assert said == f"cannot listen on 127.0.0.1 port {served.port}: {reason}"


def test_files_that_are_no_recordings(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("{}\n")
    assert refusal("replay", str(path)) == f"{path} is not a recording made by trindi"
    first = '{"trindi recording": 1, "side": "client", "clock": "wall", "start": "2026-11-23"}\n'
    path.write_text(first)
    assert refusal("replay", str(path)) == f"{path} has no devices to show"
    path.write_text(first + "nonsense\n")
    assert refusal("replay", str(path)).startswith(f"{path}, line 2")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("to the administrator nothing is refused")
    path = tmp_path / "x.jsonl"
    path.touch(0o000)
    assert refusal("replay", str(path)) == f"{path}: Permission denied"


@pytest.mark.parametrize("options", [["--speed", "0"], ["--speed", "-1"], ["--serve", "99999"]])
def test_wrong_usage(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "x.jsonl").touch()
    refusal("replay", str(tmp_path / "x.jsonl"), *options, status=2)
    refusal("replay", str(tmp_path / "missing.jsonl"), status=2)
