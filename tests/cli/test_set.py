"""`trindi set`: values as the property wants them, refused before anything leaves, waited for."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.kit.cli import BRIEFLY, at, lines, refusal, trindi
from tests.kit.processes import wait_until
from trindi import newBLOBVector, newNumberVector, newSwitchVector, newTextVector

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.kit.cli import Script, Served


TAKEN = "Bench: [INFO] taken\n"


def asked(served: Served, *kinds: type[Any]) -> list[Any]:
    """What the driver was asked for, in order, once there is something."""

    def look() -> list[Any]:
        return [one for one in served.bench.asked if isinstance(one, kinds)]

    return wait_until(look, "something was asked")


# Values ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "number"), [("5", 5), ("-12:30:00", -12.5), ("1e1", 10), (".5", 0.5), ("-0:30", -0.5)]
)
def test_numbers(served: Served, text: str, number: float) -> None:
    assert lines("set", *at(served), f"Bench.target.x={text}") == []
    assert dict(asked(served, newNumberVector)[0]) == {"x": number, "free": 1}


@pytest.mark.parametrize("text", ["On", "on", "ON"])
def test_switches(served: Served, text: str) -> None:
    lines("set", *at(served), f"Bench.mode.fast={text}")
    assert dict(asked(served, newSwitchVector)[0]) == {"slow": "Off", "fast": "On"}


@pytest.mark.parametrize("text", ["", "On", "a=b.c", "@file", "  two  words", "ü <&>"])
def test_texts(served: Served, text: str) -> None:
    lines("set", *at(served), "--wait", f"Bench.note.a={text}", said=TAKEN)
    # The wire cannot carry blanks around a text.
    assert dict(asked(served, newTextVector)[0]) == {"a": text.strip(), "b": ""}


@pytest.mark.parametrize("wait", [[], ["--wait"]])
def test_blobs(served: Served, tmp_path: Path, wait: list[str]) -> None:
    data = bytes(range(256)) * 1000
    (tmp_path / "flat.fits").write_bytes(data)
    said = TAKEN if wait else ""
    lines("set", *at(served), *wait, f"Bench.upload.file=@{tmp_path}/flat.fits", said=said)
    (event,) = asked(served, newBLOBVector)
    assert event["file"] == data
    assert event.sizeformat["file"].format == ".fits"


def test_members_of_one_vector_go_in_one_request(served: Served) -> None:
    arguments = ["Bench.target.x=2", "Bench.note.a=one", "Bench.target.free=3"]
    lines("set", *at(served), "--wait", *arguments, said=2 * TAKEN)
    numbers, texts = asked(served, newNumberVector, newTextVector)
    assert dict(numbers) == {"x": 2, "free": 3}
    assert dict(texts) == {"a": "one", "b": ""}


def test_all_is_sent_before_the_connection_ends(script: Callable[..., Script]) -> None:
    # What the server has said, and nobody has read, must not make the end of the connection a
    # reset, which loses what was sent.
    vector = (
        b"<defTextVector device='D' name='v' state='Ok' perm='rw'>"
        b"<defText name='t'>one</defText></defTextVector>"
    )
    server = script(vector + b"<message device='D' message='x'/>" * 10_000)
    assert trindi("set", *at(server), "D.v.t=two").exit_code == 0
    wait_until(lambda: b"</newTextVector>" in server.heard, "the request has arrived")


def test_a_request_that_a_reset_may_have_lost_is_no_success(
    script: Callable[..., Script],
) -> None:
    vector = (
        b"<defTextVector device='D' name='v' state='Ok' perm='rw'>"
        b"<defText name='t'>one</defText></defTextVector>"
    )
    server = script(vector, resets=True)
    said = refusal("set", *at(server), "D.v.t=two")
    assert said == (
        "the connection broke before the server had taken everything: requests may be lost"
    )


def test_a_server_need_not_close_the_connection(script: Callable[..., Script]) -> None:
    server = script(
        b"<defTextVector device='D' name='v' state='Ok' perm='rw'>"
        b"<defText name='t'>one</defText></defTextVector>",
        closes=False,
    )
    assert trindi("set", *at(server), "D.v.t=two").exit_code == 0
    assert b"</newTextVector>" in server.heard


# Refusals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ("Bench.target.x=91", "Bench.target: x is between -90 and 90, not 91"),
        ("Bench.target.x=far", "Bench.target: x: 'far' is not a number"),
        ("Bench.count.n=1", "Bench.count: it is read-only: it can be watched, not set"),
        ("Bench.lamp.power=Ok", "Bench.lamp: it is read-only: it can be watched, not set"),
        ("Bench.mode.slow=Off", "Bench.mode: turn another On instead, under OneOfMany: fast"),
        ("Bench.mode.slow=yes", "Bench.mode: slow is On or Off, not 'yes'"),
        ("Bench.upload.file=x.fits", "Bench.upload: file is a BLOB, and is given as @FILE"),
    ],
)
def test_what_cannot_be_right_is_not_sent(served: Served, argument: str, reason: str) -> None:
    said = refusal("set", *at(served), "Bench.note.a=first", argument)
    assert said == f"cannot set {reason}"
    # Neither is what could have been.
    assert lines("get", *at(served), "-1", "Bench.note.a") == [""]
    assert served.bench.asked == []


def test_a_file_that_is_not_there(served: Served) -> None:
    said = refusal("set", *at(served), "Bench.upload.file=@no/such.fits")
    assert said == "no/such.fits: No such file or directory"


@pytest.mark.parametrize("name", ["Nobody.a", "Bench.nothing", "My Shop.late"])
def test_what_is_not_there(served: Served, name: str) -> None:
    said = refusal("set", *at(served), *BRIEFLY, "Bench.note.a=first", f"{name}.x=1")
    assert said == f"no {name} from 127.0.0.1:{served.port}"
    assert served.bench.asked == []


def test_a_member_that_is_not_there(served: Served) -> None:
    arguments = ["Bench.target.y=1", "Bench.target.x=1", "Bench.target.fre=1"]
    said = refusal("set", *at(served), "Bench.note.a=first", *arguments)
    end = f"from 127.0.0.1:{served.port}"
    alike = "Bench.target.fre (did you mean Bench.target.free?)"
    assert said == f"no Bench.target.y (Bench.target has x, free), {alike} {end}"
    assert served.bench.asked == []


def test_a_server_that_leaves(script: Callable[..., Script]) -> None:
    said = refusal("set", *at(script(b"", stays=0)), "D.v.t=1")
    # One that leaves before it has read all may look like either.
    assert re.search(
        "the server has closed the connection|the connection to the server broke", said
    )


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ("Bench.target.x", "'Bench.target.x' is not DEVICE.VECTOR.MEMBER=VALUE"),
        ("Bench.target=1", "'Bench.target=1' is not DEVICE.VECTOR.MEMBER"),
        ("Bench.*.x=1", "'Bench.*.x=1' is to name one thing: no wildcards here"),
        ("=1", "'=1' has an empty part: write DEVICE.VECTOR.MEMBER"),
    ],
)
def test_wrong_usage(argument: str, reason: str) -> None:
    assert reason in refusal("set", argument, status=2)


def test_two_values_for_one_member() -> None:
    said = refusal("set", "A.b.c=1", "A.b.d=1", "A.b.c=2", status=2)
    assert said == "A.b.c is given two values (see main set --help)"


# Waiting -----------------------------------------------------------------------------------------


def test_it_waits_until_it_is_done(served: Served) -> None:
    assert lines("set", *at(served), "--wait", "My Shop.task.n=50") == []
    assert lines("get", *at(served), "-1", "My Shop.task._STATE") == ["Ok"]


def test_an_alert_comes_with_the_devices_words(served: Served) -> None:
    said = refusal("set", *at(served), "--wait", "My Shop.task.n=-1")
    assert said == "My Shop.task is in Alert: [ERROR] out of wood"
    # Who does not wait is not told.
    assert lines("set", *at(served), "My Shop.task.n=-1") == []


VECTOR = (
    b"<defNumberVector device='D.1' name='v' state='Ok' perm='rw'>"
    b"<defNumber name='n' format='%g' min='0' max='0' step='0'>1</defNumber></defNumberVector>"
)
SAID = b"<message device='D.1' message='[WARNING] Please unpark'/>"


def reported(state: str, value: int) -> bytes:
    start = f"<setNumberVector device='D.1' name='v' state='{state}'>"
    return f"{start}<oneNumber name='n'>{value}</oneNumber></setNumberVector>".encode()


def test_a_device_that_refuses_without_an_alert_is_no_success(
    script: Callable[..., Script],
) -> None:
    # As a parked mount of libindi does.
    server = script(VECTOR, answers=SAID + reported("Idle", 1))
    result = trindi("set", "--wait", *at(server), '"D.1".v.n=5')
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "D.1: [WARNING] Please unpark",
        'Error: "D.1".v is Idle, but n is 1, not 5',
    ]


def test_an_exposure_that_has_counted_down_is_done(script: Callable[..., Script]) -> None:
    counted = b"".join([reported("Busy", 5), reported("Busy", 2), reported("Ok", 0)])
    result = trindi("set", "--wait", *at(script(VECTOR, answers=SAID + counted)), '"D.1".v.n=5')
    assert result.exit_code == 0
    assert result.stderr == "D.1: [WARNING] Please unpark\n"


def test_what_takes_too_long(served: Served) -> None:
    said = refusal("set", *at(served), "--wait", "My Shop.task.n=51")
    more = "it may take longer with --timeout"
    assert said == f"My Shop.task is still Busy: more than 0.1 s; {more}"


# Of `endless` the device says that it takes 0 s, which means that it says nothing of it.
UNANSWERED = (
    b"<defTextVector device='D' name='endless' state='Ok' perm='rw'>"
    b"<defText name='t'>one</defText></defTextVector>"
)


@pytest.mark.parametrize("place", ["My Shop.task.n=51", "D.endless.t=two"])
def test_how_long_it_may_take_can_be_said(
    served: Served, script: Callable[..., Script], place: str
) -> None:
    server = served if place.startswith("My") else script(UNANSWERED)
    said = refusal("set", *at(server), "--wait", "-t", "0.5", place)
    assert said == f"{place.rpartition('.')[0]} is still Busy: 0.5 s have passed"


def test_it_may_take_longer_than_it_says(served: Served, beside: Callable[..., None]) -> None:
    shop: Any = served.drivers[1]

    def finish() -> None:
        wait_until(lambda: shop["My Shop"]["task"].state == "Busy", "it is busy")
        served.call(trio.sleep, 0.3)
        served.call(partial(shop["My Shop"]["task"].send_setVector, state="Ok"))

    beside(finish)
    assert lines("set", *at(served), "--wait", "-t", "30", "My Shop.task.n=51") == []


def test_what_is_there_only_once_the_device_is_connected(served: Served) -> None:
    arguments = ["My Shop.CONNECTION.CONNECT=On", "My Shop.late.t=hello"]
    assert lines("set", *at(served), "--wait", *arguments) == []
    assert lines("get", *at(served), "-1", "My Shop.late.t") == ["hello"]


def test_one_failure_is_the_end(served: Served) -> None:
    refusal("set", *at(served), "--wait", "My Shop.task.n=-1", "Bench.note.a=later")
    assert lines("get", *at(served), "-1", "Bench.note.a") == [""]
