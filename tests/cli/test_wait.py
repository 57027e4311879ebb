"""`trindi wait`: until it is so, however short that is, and no longer than it may."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import click
import pytest

from tests.kit.cli import BRIEFLY, at, lines, refusal
from tests.kit.processes import wait_until
from trindi.cli.conditions import parse_condition
from trindi.cli.wait import Waiter

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.cli import Script, Served


TEXT = (
    b"<defTextVector device='D' name='v' state='Ok' perm='rw'><defText name='t'>a</defText>"
    b"</defTextVector>"
)


@pytest.mark.parametrize(
    "condition",
    [
        "Bench.target.x == 7",
        "Bench.target.x > 6 and Bench.mode.slow == On and Bench.lamp.power == Ok",
        "Bench.note.a == '' and \"My Shop\".task._STATE == Ok",
        "Bench.target._PERM == 'rw' and Bench.target._TO == 0 and Bench.target._TS > '2026'",
        "Nobody.a.b > 1 or Bench.serial.number == 42",
        "Bench.mode._RULE == 'OneOfMany'",
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
        TEXT + b"<setTextVector device='D' name='v' state='Busy'/>"
        b"<setTextVector device='D' name='v' state='Ok'/>"
    )
    assert lines("wait", *at(server), "-t", "30", "D.v._STATE == Busy and D.v.t == 'a'") == []


def test_what_does_not_become_so(served: Served) -> None:
    condition = "Bench.target.x > 8 or Bench.note.a == 'x' or Nobody.a.b == On"
    said = refusal("wait", *at(served), "--timeout", "0.5", condition)
    assert (
        said == "not within 0.5 s: Bench.target.x is 7, Bench.note.a is '', Nobody.a.b is not there"
    )


def test_what_is_deleted_is_not_there(script: Callable[..., Script]) -> None:
    number = (
        b"<defNumberVector device='D' name='v' state='Ok' perm='ro'>"
        b"<defNumber name='n' format='%g' min='0' max='0' step='0'>5</defNumber></defNumberVector>"
    )
    for end in (b"<delProperty device='D' name='v'/>", b"<delProperty device='D'/>"):
        server = script(number + end + b"<message message='x'/>")
        said = refusal("wait", *at(server), *BRIEFLY, "not D.v.n == 5")
        assert said == "not within 0.5 s: D.v.n is not there"
    server = script(number + b"<delProperty device='E'/><delProperty device='D' name='w'/>")
    said = refusal("wait", *at(server), *BRIEFLY, "not D.v.n == 5")
    assert said == "not within 0.5 s: D.v.n is 5"


def test_what_is_like_what_is_not_there(served: Served) -> None:
    condition = "bench.target.x > 8 or Bench.nots.a == 'x' or Bench.target.x > 9"
    said = refusal("wait", *at(served), "--timeout", "0.5", condition)
    assert said == (
        "not within 0.5 s: bench.target.x (did you mean Bench?) is not there, "
        "Bench.nots.a (did you mean Bench.note?) is not there, Bench.target.x is 7"
    )


def test_what_is_not_there_is_told_before_the_end(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    condition = parse_condition("Bench.nots.a == 'x' or Bench.target.x > 9")
    with pytest.raises(click.ClickException, match=r"^not within 1 s: "):
        Waiter("127.0.0.1", served.port, condition, 1, notice_after=0.3).run()
    assert capsys.readouterr().err == (
        "So far there is no Bench.nots.a (did you mean Bench.note?); still waiting\n"
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Bench.target.x-2", "Bench.target.x-2 (Bench.target has x, free)"),
        ("Bench.target.y+1:30", "Bench.target.y+1:30 (Bench.target has x, free)"),
    ],
)
def test_what_was_to_be_calculated(served: Served, name: str, said: str) -> None:
    # It is a legal name; the blanks tell the two apart.
    hint = " (to calculate, put blanks around + - * / %)"
    found = refusal("wait", *at(served), f"{name} > 1")
    assert found == f"no {said} from 127.0.0.1:{served.port}{hint}"
    with pytest.raises(click.ClickException, match=r"2-Bench\.target\.x.*put blanks around"):
        Waiter("127.0.0.1", served.port, parse_condition("2-Bench.target.x > 1"), 0.2).run()


def test_a_blob_has_no_value(served: Served) -> None:
    said = refusal("wait", *at(served), "Bench.frame.image == 'x'", status=2)
    reason = "Bench.frame.image is a BLOB, and has no value to compare: compare Bench.frame._STATE"
    assert said == f"{reason} (see main wait --help)"


def test_a_blob_has_a_state(served: Served, beside: Callable[..., None]) -> None:
    frame: Any = served.bench["Bench"]["frame"]
    assert lines("wait", *at(served), "-t", "30", "Bench.frame._PERM == 'ro'") == []

    def expose() -> None:
        while not done.wait(0.05):
            served.call(partial(frame.send_setVectorMembers, members=["image"], state="Busy"))

    wait_until(lambda: served.bench.running, "the driver runs")
    frame["image"] = b"an image"
    done = threading.Event()
    beside(expose)
    try:
        # Only who wants the BLOBs is told.
        assert lines("wait", *at(served), "-t", "30", "Bench.frame._STATE == Busy") == []
    finally:
        done.set()


@pytest.mark.parametrize("name", ["y", "_RULE"])
def test_a_member_that_is_not_there(served: Served, name: str) -> None:
    said = refusal("wait", *at(served), f"Bench.target.{name} != 'x'")
    assert said.startswith(f"no Bench.target.{name}")
    assert said.endswith(f" from 127.0.0.1:{served.port}")


def test_a_member_that_only_looks_like_an_attribute(script: Callable[..., Script]) -> None:
    server = script(TEXT)
    said = refusal("wait", *at(server), "D.v.state == 'x'")
    assert said == f"no D.v.state (did you mean D.v._STATE?) from 127.0.0.1:{server.port}"


def test_a_server_that_leaves(script: Callable[..., Script]) -> None:
    said = refusal("wait", *at(script(b"", stays=0)), "A.b.c > 1 or D.e.f > 1")
    assert said.endswith("the server has closed the connection")


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("Bench.target.x", "compare it with something: DEVICE.VECTOR.MEMBER > 15"),
        ("1 < 2", "the condition is about no property"),
        ("Bench.mode.slow == 'on'", "Bench.mode.slow is one of Off, On, now 'On', and never 'on'"),
        (
            "A.b.c > 1 and Bench.target.x == 'warm'",
            "Bench.target.x is a number, now 7, and never 'warm'",
        ),
    ],
)
def test_wrong_usage(served: Served, condition: str, reason: str) -> None:
    said = refusal("wait", *at(served), condition, status=2)
    assert said.endswith(f"{reason} (see main wait --help)")
