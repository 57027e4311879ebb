"""The load client counts what is there, however it is cut, and waits for what it should."""

from __future__ import annotations

import contextlib
import itertools
import resource
import socket
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, strategies as st

from benchmarks import client
from benchmarks.client import SET_END, Counter, count_all, drain, new

if TYPE_CHECKING:
    from collections.abc import Iterator

STREAM = b"".join(b'<setNumberVector name="v">%d</setNumberVector>\n' % value for value in range(4))


@contextlib.contextmanager
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    here, there = socket.socketpair()
    with here, there:
        here.settimeout(10)
        yield here, there


def counts(pieces: list[bytes]) -> list[int]:
    with pair() as (here, there):
        counter = Counter(here, SET_END)
        found = []
        for piece in pieces:
            there.sendall(piece)
            found.append(counter.receive())
        return found


def test_each_end_tag_is_counted_once_when_bytes_come_one_by_one() -> None:
    found = counts([bytes([byte]) for byte in STREAM])
    assert found == [STREAM[: end + 1].count(SET_END) for end in range(len(STREAM))]


@given(cuts=st.lists(st.integers(1, len(STREAM) - 1), max_size=8, unique=True))
def test_each_end_tag_is_counted_once_at_any_cut(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    found = counts([STREAM[start:end] for start, end in itertools.pairwise(places)])
    assert found == [STREAM[:end].count(SET_END) for end in places[1:]]


def test_counters_that_take_turns_do_not_mix_their_sockets() -> None:
    half = len(SET_END) // 2
    with pair() as (a, to_a), pair() as (b, to_b):
        counters = Counter(a, SET_END), Counter(b, SET_END)
        for to in (to_a, to_b):
            to.sendall(SET_END[:half])
        assert [counter.receive() for counter in counters] == [0, 0]
        to_b.sendall(b"x" + SET_END[half:])
        to_a.sendall(SET_END[half:])
        assert [counter.receive() for counter in counters] == [1, 0]


def test_a_closed_connection_is_no_figure() -> None:
    with pair() as (here, there):
        there.close()
        with pytest.raises(ConnectionError, match="closed"):
            Counter(here, SET_END).wait(1)


def test_all_are_waited_for() -> None:
    with pair() as (a, to_a), pair() as (b, to_b):

        def serve() -> None:
            assert to_a.recv(100) == b"go"
            to_a.sendall(3 * SET_END)
            to_b.sendall(2 * SET_END)
            to_b.sendall(SET_END)

        server = threading.Thread(target=serve)
        server.start()
        assert count_all(a, b"go", [a, b], 3) > 0
        server.join()


def test_who_gets_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PATIENCE", 0.01)
    with pair() as (here, _there), pytest.raises(TimeoutError):
        count_all(here, b"go", [here], 1)


def test_draining_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "QUIET", 0.01)
    with pair() as (here, there):
        there.sendall(STREAM)
        drain([here])
        here.setblocking(False)
        with pytest.raises(BlockingIOError):
            here.recv(1)


def test_a_request_is_written_as_indi_has_it() -> None:
    assert new("sendblob", size=16777216, count=2) == (
        b'<newNumberVector device="Bench" name="sendblob"><oneNumber name="size">16777216'
        b'</oneNumber><oneNumber name="count">2</oneNumber></newNumberVector>\n'
    )


def test_as_many_files_may_be_open_as_the_system_allows() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        client.allow_descriptors()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
