"""`trindi wait`: until it is so, however short that is, and no longer than it may."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support_cli import at, lines, refusal
from tests.support_processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support_cli import Script, Served


@pytest.mark.parametrize(
    "condition",
    [
        "Bench.target.x == 7",
        "Bench.target.x > 6 and Bench.mode.slow == On and Bench.lamp.power == Ok",
        "Bench.note.a == '' and \"My Shop\".task._STATE == Ok",
        "Bench.target._PERM == 'rw' and Bench.target._TO == 0 and Bench.target._TS > '2026'",
        "Nobody.a.b > 1 or Bench.serial.number == 42",
        "\"My Shop\".task._LABEL == 'Task' and \"My Shop\".task._GROUP == 'Main'",
    ],
)
def test_what_is_so_already(served: Served, condition: str) -> None:
    assert lines("wait", *at(served), condition) == []


def test_what_becomes_so(served: Served, beside: Callable[..., None]) -> None:
    def count() -> None:
        wait_until(lambda: served.bench.running, "the driver runs")
        served.call(served.bench.count, 20)

    beside(count)
    assert lines("wait", *at(served), "-t", "30", "Bench.count.n >= 20") == []


def test_a_moment_is_not_missed(script: Callable[..., Script]) -> None:
    # All of it arrives at once.
    server = script(
        b"<defTextVector device='D' name='v' state='Ok' perm='rw'><defText name='t'>a</defText>"
        b"</defTextVector>"
        b"<setTextVector device='D' name='v' state='Busy'/>"
        b"<setTextVector device='D' name='v' state='Ok'/>"
    )
    assert lines("wait", *at(server), "-t", "30", "D.v._STATE == Busy") == []


def test_what_does_not_become_so(served: Served) -> None:
    condition = "Bench.target.x > 8 or Bench.note.a == 'x' or Nobody.a.b == On"
    said = refusal("wait", *at(served), "--timeout", "0.1", condition)
    assert (
        said == "not within 0.1 s: Bench.target.x is 7, Bench.note.a is '', Nobody.a.b is not there"
    )


def test_a_blob_is_not_known(served: Served) -> None:
    said = refusal("wait", *at(served), "-t", "0.1", "Bench.frame.image == 'x'")
    assert said == "not within 0.1 s: Bench.frame.image is not there"


def test_a_member_that_is_not_there(served: Served) -> None:
    said = refusal("wait", *at(served), "Bench.target.y > 1")
    assert said == "target has no member 'y', only x, free"


def test_a_server_that_leaves(script: Callable[..., Script]) -> None:
    said = refusal("wait", *at(script(b"", stays=0)), "A.b.c > 1 or D.e.f > 1")
    assert said.endswith("the server has closed the connection")


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("Bench.target.x", "compare it with something: DEVICE.VECTOR.MEMBER > 15"),
        ("1 < 2", "the condition is about no property"),
        ("Bench.mode.slow == 'on'", "it is one of Off, On, and never 'on'"),
        ("A.b.c > 1 and Bench.target.x == 'warm'", "it is a number, and never 'warm'"),
    ],
)
def test_wrong_usage(served: Served, condition: str, reason: str) -> None:
    said = refusal("wait", *at(served), condition, status=2)
    assert said.endswith(f"{reason} (see main wait --help)")
