"""Drivers as programs, on the pipes and socket pairs that indiserver makes (protocol §6)."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import sys
import tty
from typing import TYPE_CHECKING

import pytest
import trio

from tests.kit.processes import DEADLINE
from tests.kit.stdio import PROGRAM, Peer, Program, memfd, program
from trindi import Message, defBLOBVector, defNumberVector, defTextVector, setTextVector
from trindi.protocol import Decoder, getProperties, pingReply, setBLOBVector

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

ASK = '<getProperties version="1.7"/>\n'


def new_text(value: str) -> str:
    return (
        f'<newTextVector device="Probe" name="text">\n    <oneText name="text">\n{value}\n'
        "    </oneText>\n</newTextVector>\n"
    )


def attached(*sizes: str, name: str = 'name="image"') -> str:
    """An upload as indiserver 1.9.9 passes it on."""
    members = "".join(
        f'    <oneBLOB name="{member}" size="{size}" format=".bin" attached="true"/>\n'
        for member, size in zip(("first", "second"), sizes, strict=False)
    )
    return f'<newBLOBVector device="Probe" {name}>\n{members}</newBLOBVector>\n'


async def ask_text(peer: Peer, value: str) -> setTextVector:
    await peer.send(new_text(value))
    return await peer.next(setTextVector, when=lambda event: event["text"] == value)


async def is_alive(peer: Peer, uid: str = "still there?") -> None:
    await peer.send(f'<pingRequest uid="{uid}"/>\n')
    await peer.next(pingReply, when=lambda event: event.uid == uid)


@pytest.fixture(params=[False, True], ids=["socket pair", "pipes"])
def pipes(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


# The end of input --------------------------------------------------------------------------------


async def test_what_is_asked_just_before_the_end_of_input_is_answered(pipes: bool) -> None:
    async with program(pipes=pipes) as running:
        await running.peer.send('<getProperties version="1.7"/>')
        await running.peer.end_input()
        events = await running.peer.rest()
        assert [type(e) for e in events] == [defTextVector, defNumberVector, defBLOBVector]
        assert await running.wait() == 0


async def test_a_handler_that_runs_at_the_end_of_input_may_answer(pipes: bool) -> None:
    async with program(pipes=pipes) as running:
        await running.peer.send(new_text("turns"))
        await running.peer.end_input()
        events = await running.peer.rest()
        assert [e["text"] for e in events if isinstance(e, setTextVector)] == ["turns"]
        assert await running.wait() == 0


@pytest.mark.parametrize("word", ["hang", "thread"])
async def test_a_handler_that_hangs_does_not_hold_up_the_end(word: str) -> None:
    async with program() as running:
        await running.peer.send(new_text(word))
        await running.wait_log(b"hanging")
        await running.peer.end_input()
        assert await running.wait() == 0


async def test_the_end_of_input_at_once(pipes: bool) -> None:
    async with program(pipes=pipes) as running:
        await running.peer.end_input()
        assert await running.peer.rest() == []
        assert await running.wait() == 0


async def test_half_an_element_before_the_end_is_no_failure() -> None:
    async with program() as running:
        await running.peer.send("<newTextVector device='Probe' name='te")
        await running.peer.end_input()
        assert await running.wait() == 0


async def test_a_server_that_is_gone_ends_the_driver(pipes: bool) -> None:
    """Even if it has not read all that the driver said: that is a reset of the socket."""
    async with program(pipes=pipes) as running:
        await running.peer.send(ASK)
        await running.peer.next(defTextVector)
        await running.peer.send(ASK * 50)
        await trio.aclose_forcefully(running.peer.stream)
        assert await running.wait() == 0
        assert b"Traceback" not in running.log


# Signals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_cleanly(number: signal.Signals) -> None:
    async with program("clean-up") as running:
        await running.wait_log(b"hardware runs")
        running.process.send_signal(number)
        assert await running.wait() == 0
        # Further signals came meanwhile; they did not cut the clean-up short.
        assert running.log.endswith(b"cleaning up\nclean\n")


async def test_signals_during_the_clean_up_after_the_end_of_input_do_no_harm() -> None:
    async with program("clean-up") as running:
        await running.wait_log(b"hardware runs")
        await running.peer.end_input()
        assert await running.wait() == 0
        assert running.log.endswith(b"cleaning up\nclean\n")


async def test_a_signal_that_is_ignored_stays_so() -> None:
    async with program("ignore") as running:
        await running.wait_log(b"hardware runs")
        running.process.send_signal(signal.SIGINT)
        await is_alive(running.peer)


async def test_it_runs_in_a_thread_other_than_the_main_one() -> None:
    async with program("in-thread") as running:
        await ask_text(running.peer, "hello")
        await running.peer.end_input()
        assert await running.wait() == 0


# Failure -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["fail", "fail-late"])
async def test_a_failure_of_the_hardware_is_told_on_standard_error(word: str) -> None:
    async with program(word) as running:
        assert await running.wait() == 1
        assert b"Traceback" in running.log
        assert b"RuntimeError: " in running.log


# What it says, and hears -------------------------------------------------------------------------


async def test_requests_and_pings_are_answered_in_order(pipes: bool) -> None:
    async with program(pipes=pipes) as running:
        await running.peer.send(ASK + '<pingRequest uid="SetBLOB/1"/>\n' + new_text("hello"))
        await running.peer.next(defBLOBVector)
        await running.peer.next(pingReply, when=lambda event: event.uid == "SetBLOB/1")
        answer = await running.peer.next(setTextVector)
        assert answer["text"] == "hello"


async def test_enable_blob_is_information_only() -> None:
    async with program() as running:
        await running.peer.send('<enableBLOB device="Probe" name="image">Never</enableBLOB>\n')
        await running.peer.next(Message, when=lambda event: event.message == "[INFO] told of Never")
        running.peer.send_attached(attached("5"), memfd(b"frame"))
        frame = await running.peer.next(setBLOBVector)
        assert frame["first"] == b"frame"


async def test_snooping() -> None:
    async with program("snoop") as running:
        peer = running.peer
        asked = await peer.next(getProperties, when=lambda event: event.vectorname == "reading")
        assert asked.devicename == "Other"
        await peer.send(
            '<setNumberVector device="Other" name="reading" state="Ok">\n    <oneNumber '
            'name="value">\n4.5\n    </oneNumber>\n</setNumberVector>\n'
        )
        await peer.next(Message, when=lambda event: event.message == "[INFO] heard 4.5")
        peer.send_attached(
            '<setBLOBVector device="Other" name="image" state="Ok">\n    <oneBLOB name="frame" '
            'size="4" format=".bin" len="4" attached="true"/>\n</setBLOBVector>\n',
            memfd(b"\x00\x01\xfe\xff", 1024 * 1024),
        )
        await peer.next(
            Message, when=lambda e: e.message == r"[INFO] heard 4 bytes b'\x00\x01\xfe\xff'"
        )


async def test_nonsense_costs_only_itself() -> None:
    async with program() as running:
        await running.peer.send("x < y </newTextVector> \0 <1 " + "<newTextVector device=x>" * 500)
        await running.peer.send("</newTextVector>")
        assert (await ask_text(running.peer, "hello"))["text"] == "hello"


# BLOBs handed over as descriptors ----------------------------------------------------------------


async def test_an_upload_arrives_as_a_descriptor() -> None:
    payload = bytes(range(256)) * 4096 * 4
    async with program() as running:
        size = len(payload) + 1000
        running.peer.send_attached(attached(str(len(payload))), memfd(payload, size))
        frame = await running.peer.next(setBLOBVector)
        assert frame["first"] == payload


async def test_several_descriptors_belong_to_the_members_in_their_order() -> None:
    async with program() as running:
        fds = memfd(b"one", 4096), memfd(b"second", 4096)
        running.peer.send_attached(attached("3", "6"), *fds)
        frame = await running.peer.next(setBLOBVector)
        assert dict(frame) == {"first": b"one", "second": b"second"}


async def test_a_descriptor_that_is_missing_costs_only_its_element() -> None:
    async with program() as running:
        await running.peer.send(attached("3"))
        refusal = await running.peer.next(setBLOBVector)
        assert refusal.message is not None
        assert "missing" in refusal.message
        running.peer.send_attached(attached("3"), memfd(b"one"))
        frame = await running.peer.next(setBLOBVector)
        assert frame["first"] == b"one"


async def test_a_descriptor_that_nobody_claims_is_not_taken_for_the_next() -> None:
    """A client's upload without a name passes indiserver 1.9.9, descriptor and all."""
    async with program() as running:
        running.peer.send_attached(attached("6", name=""), memfd(b"wrong!"))
        running.peer.send_attached(attached("5"), memfd(b"right"))
        frame = await running.peer.next(setBLOBVector)
        assert frame["first"] == b"right"


# Standard output and standard error --------------------------------------------------------------


async def test_nothing_but_the_protocol_reaches_standard_output(pipes: bool) -> None:
    async with program("talk", pipes=pipes) as running:
        await ask_text(running.peer, "print")
        await running.peer.end_input()
        await running.peer.rest()
        assert await running.wait() == 0
        for who in (b"before", b"by Python", b"past the guard", b"by C"):
            assert b"<printed " + who in running.log
        assert b"<printed" not in running.peer.raw
        assert running.peer.raw.endswith(b"printed after\n")


async def test_programs_of_the_author_keep_off_the_protocol() -> None:
    async with program() as running:
        await running.peer.send(new_text("child") + new_text("hello"))
        await running.peer.next(setTextVector, when=lambda event: event["text"] == "hello")
        assert b"<child ''" in running.log
        assert b"<child" not in running.peer.raw


async def test_lines_of_the_log_are_as_short_as_indiserver_needs_them() -> None:
    async with program() as running:
        await ask_text(running.peer, "log")
        await running.peer.end_input()
        assert await running.wait() == 0
        lines = running.log.splitlines()
        assert max(map(len, lines)) < 1023
        assert "".join(line.decode() for line in lines).count("é") == 3000


async def test_a_log_that_nobody_reads_holds_nothing_up() -> None:
    read_end, write_end = os.pipe()
    try:
        async with program(stderr=write_end) as running:
            os.close(write_end)
            await ask_text(running.peer, "flood")
            os.set_blocking(read_end, False)
            while _read_some(read_end):
                pass
            await ask_text(running.peer, "log")
            assert b" lines of this log were dropped)\n" in _read_some(read_end)
            await running.peer.end_input()
            assert await running.wait() == 0
    finally:
        os.close(read_end)


def _read_some(fd: int) -> bytes:
    try:
        return os.read(fd, 65536)
    except BlockingIOError:
        return b""


async def test_a_log_whose_reader_is_gone_is_no_failure() -> None:
    read_end, write_end = os.pipe()
    async with program(stderr=write_end) as running:
        os.close(write_end)
        os.close(read_end)
        await ask_text(running.peer, "flood")
        await running.peer.end_input()
        assert await running.wait() == 0


async def test_standard_error_on_the_same_socket_as_the_protocol() -> None:
    """As after ``2>&1``: log lines that find no room are lost, the protocol is not."""
    async with program(stderr=subprocess.STDOUT) as running:
        await running.peer.send(new_text("flood") + new_text("hello"))
        await running.peer.end_input()
        # Nobody has read so far; now all is read, and it says what was lost.
        events = await running.peer.rest()
        values = [event["text"] for event in events if isinstance(event, setTextVector)]
        assert values == ["flood", "hello"]
        assert await running.wait() == 0


async def test_without_standard_error_it_runs_all_the_same() -> None:
    async with _shell("{} {} 2>&-") as running:
        await ask_text(running.peer, "flood")
        await running.peer.end_input()
        assert await running.wait() == 0


@pytest.mark.parametrize("closed", ["<&-", ">&-"])
async def test_without_standard_input_or_output_it_says_so(closed: str) -> None:
    async with _shell("{} {} " + closed) as running:
        assert await running.wait() == 1
        assert b"standard input or output is closed" in running.log


def _shell(line: str) -> AbstractAsyncContextManager[Program]:
    return program(command=["sh", "-c", "exec " + line.format(sys.executable, PROGRAM)])


# Descriptors of other kinds ----------------------------------------------------------------------


async def test_the_socket_is_blocking_again_at_the_end() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = await trio.lowlevel.open_process(
            [sys.executable, str(PROGRAM)], stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL
        )
        ours.shutdown(socket.SHUT_WR)
        with trio.fail_after(DEADLINE):
            assert await process.wait() == 0
        assert os.get_blocking(theirs.fileno())


def _run(stdin: int, stdout: int) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, str(PROGRAM)],
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=DEADLINE,
        check=False,
    )


def test_regular_files(tmp_path: Path) -> None:
    (tmp_path / "in").write_text(ASK + new_text("hello"))
    with (tmp_path / "in").open("rb") as stdin, (tmp_path / "out").open("wb") as stdout:
        done = _run(stdin.fileno(), stdout.fileno())
    assert done.returncode == 0, done.stderr
    events = Decoder().feed((tmp_path / "out").read_bytes())
    assert [type(e) for e in events] == [
        defTextVector,
        defNumberVector,
        defBLOBVector,
        setTextVector,
    ]


def test_dev_null() -> None:
    assert _run(subprocess.DEVNULL, subprocess.DEVNULL).returncode == 0


async def test_a_terminal() -> None:
    ours, theirs = pty.openpty()
    try:
        tty.setcbreak(theirs)
        process = await trio.lowlevel.open_process(
            [sys.executable, str(PROGRAM)], stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        peer = Peer(trio.lowlevel.FdStream(ours))
        await peer.send(ASK)
        await peer.next(defBLOBVector)
        await trio.aclose_forcefully(peer.stream)
        with trio.fail_after(DEADLINE):
            assert await process.wait() == 0
    finally:
        process.kill()
