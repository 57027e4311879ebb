"""The guard around standard input and output."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
from typing import TYPE_CHECKING, TextIO

import pytest

from tests.kit.stdio import open_descriptors
from trindi.host.guard import guarded_stdio

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def standard_files(tmp_path: Path) -> Iterator[None]:
    """Let descriptors 0, 1 and 2 be files of a directory for a while."""
    names = ("in", "out", "log")
    (tmp_path / "in").write_text("input\n")
    saved = [os.dup(fd) for fd in range(3)]
    try:
        for number, name in enumerate(names):
            fd = os.open(tmp_path / name, os.O_RDWR | os.O_CREAT | os.O_APPEND)
            os.dup2(fd, number)
            os.close(fd)
        yield
    finally:
        for number, fd in enumerate(saved):
            os.dup2(fd, number)
            os.close(fd)


def same_file(fd: int, path: Path) -> bool:
    return os.path.samestat(os.fstat(fd), path.stat())


def test_the_guard_moves_the_protocol_away(tmp_path: Path) -> None:
    with standard_files(tmp_path), guarded_stdio() as (read_fd, write_fd):
        assert os.read(read_fd, 100) == b"input\n"
        assert os.read(0, 100) == b""
        os.write(write_fd, b"protocol")
        os.write(1, b"by C\n")
        print("by Python")
    assert (tmp_path / "out").read_text() == "protocol"
    assert (tmp_path / "log").read_text() == "by C\nby Python\n"


def test_the_guard_puts_everything_back_after_an_error(tmp_path: Path) -> None:
    stdout, stderr = sys.stdout, sys.stderr
    handler = logging.StreamHandler(stderr)
    logging.getLogger("author").addHandler(handler)
    try:
        with standard_files(tmp_path):
            before = open_descriptors()
            with pytest.raises(ZeroDivisionError):
                _fail_under_guard(handler)
            assert open_descriptors() == before
    finally:
        logging.getLogger("author").removeHandler(handler)
    assert handler.stream is stderr
    assert (sys.stdout, sys.stderr) == (stdout, stderr)


def _fail_under_guard(handler: logging.StreamHandler[TextIO]) -> None:
    stderr = handler.stream
    with guarded_stdio():
        assert handler.stream is not stderr
        raise ZeroDivisionError


def test_the_start_of_a_line_is_not_lost(tmp_path: Path) -> None:
    with standard_files(tmp_path), guarded_stdio():
        print("no end", end="", flush=True)
        assert (tmp_path / "log").read_text() == ""
    assert (tmp_path / "log").read_text() == "no end\n"


def test_what_was_printed_before_stays_out_of_the_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As Python opens it where it is no terminal.
    stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)))
    monkeypatch.setattr(sys, "__stdout__", stdout)
    stdout.write("before\n")
    with standard_files(tmp_path), guarded_stdio() as (_read_fd, write_fd):
        os.write(write_fd, b"protocol")
        stdout.write("meanwhile\n")
    assert (tmp_path / "out").read_text() == "protocol"
    assert (tmp_path / "log").read_text() == "before\nmeanwhile\n"


def test_the_stand_in_looks_like_a_text_stream(tmp_path: Path) -> None:
    with standard_files(tmp_path), guarded_stdio():
        assert sys.stdout.encoding == "utf-8"
        assert sys.stdout.writable()
        assert not sys.stdout.isatty()
        assert sys.stdout.fileno() == 2


def test_long_lines_are_cut_between_characters(tmp_path: Path) -> None:
    with standard_files(tmp_path), guarded_stdio():
        print("x" + "é" * 1200)
        print("\ud800 and so on")
    lines = (tmp_path / "log").read_bytes().split(b"\n")
    assert [len(line) for line in lines[:-2]] == [999, 1000, 402]
    assert b"".join(lines[:-2]).decode() == "x" + "é" * 1200
    assert lines[-2:] == [b"\\ud800 and so on", b""]


@pytest.mark.parametrize("name", ["__stdin__", "__stdout__"])
def test_closed_descriptors_are_not_guarded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python has none of these where they were closed; their numbers may be somebody else's."""
    monkeypatch.setattr(sys, name, None)
    with pytest.raises(OSError, match="standard input or output is closed"), guarded_stdio():
        pytest.fail("it was guarded")


def test_without_standard_error_what_is_printed_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "__stderr__", None)
    with standard_files(tmp_path), guarded_stdio():
        print("unheard")
        os.write(1, b"unheard")
    assert (tmp_path / "out").read_bytes() == b""
    assert (tmp_path / "log").read_bytes() == b""


def test_lines_that_find_no_room_are_dropped_and_counted(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    try:
        with standard_files(tmp_path):
            os.dup2(write_end, 2)
            with guarded_stdio():
                for number in range(1000):
                    print(f"line {number}", "x" * 900)
                log = os.read(read_end, 1024 * 1024).decode().splitlines()
                print("and on")
                log += os.read(read_end, 1024).decode().splitlines()
        dropped = 1000 - (len(log) - 2)
        assert dropped > 0
        assert log[-2:] == [f"({dropped} lines of this log were dropped)", "and on"]
    finally:
        os.close(read_end)
        os.close(write_end)


@pytest.mark.parametrize("gone", ["the reader", "the descriptor"])
def test_a_log_that_is_gone_is_no_failure(tmp_path: Path, gone: str) -> None:
    with standard_files(tmp_path):
        read_end, write_end = os.pipe()
        os.dup2(write_end, 2)
        os.close(write_end)
        os.close(read_end)
        with guarded_stdio():
            if gone == "the descriptor":
                os.close(2)
            print("unheard")
    assert (tmp_path / "out").read_bytes() == b""
