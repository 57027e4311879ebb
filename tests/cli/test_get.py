"""`trindi get`: what it prints, when it ends, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support_cli import at, lines, objects, refusal, trindi

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support_cli import Script, Served

BENCH = [
    "Bench.count.n=0",
    "Bench.target.x=7",
    "Bench.target.free=1",
    "Bench.serial.number=42",
    "Bench.note.a=",
    "Bench.note.b=",
    "Bench.mode.slow=On",
    "Bench.mode.fast=Off",
    "Bench.abort.now=Off",
    "Bench.lamp.power=Ok",
]
SHOP = ["My Shop.task.n=0", "My Shop.CONNECTION.CONNECT=Off", "My Shop.CONNECTION.DISCONNECT=On"]


# What it prints ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patterns", "printed"),
    [
        ([], BENCH + SHOP),
        (["*.*.*"], BENCH + SHOP),
        (["Bench"], BENCH),
        (["My Shop"], SHOP),
        (["Bench.target"], BENCH[1:3]),
        (["B*.*ar*.*"], BENCH[1:3]),
        (["*.*.n*"], ["Bench.count.n=0", BENCH[3], "Bench.abort.now=Off", SHOP[0]]),
        (["Bench.target.x"], ["Bench.target.x=7"]),
        (["My Shop.task.n", "Bench.mode"], [SHOP[0], *BENCH[6:8]]),
        (["Bench.target.x", "*.target.x"], ["Bench.target.x=7"]),
        (["-w", "My Shop.bell"], ["My Shop.bell.press=Off"]),
        (["-1", "Bench.target.x"], ["7"]),
        (["-1", "Bench.target"], BENCH[1:3]),
        (["-1", "Bench.target.x", "Bench.serial.number"], [BENCH[1], BENCH[3]]),
        (["-1", "Bench.lamp._STATE"], ["Ok"]),
        (["My Shop.task._STATE"], ["My Shop.task._STATE=Ok"]),
        (["My Shop.task._LABEL"], ["My Shop.task._LABEL=Task"]),
        (["My Shop.task._GROUP"], ["My Shop.task._GROUP=Main"]),
        (["Bench.*._PERM"], [f"Bench.{name}._PERM={perm}" for name, perm in [
            ("count", "ro"), ("target", "rw"), ("serial", "ro"), ("note", "rw"), ("mode", "rw"),
            ("abort", "rw"), ("lamp", "")]]),
        (["Bench.frame._PERM"], ["Bench.frame._PERM=ro"]),
        (["My Shop.task._TO", "Bench.lamp._TO"], ["My Shop.task._TO=0.1", "Bench.lamp._TO="]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)  # fmt: skip
def test_it_prints_what_is_asked_for(
    served: Served, patterns: list[str], printed: list[str]
) -> None:
    # Devices of one server may come in any order.
    assert sorted(lines("get", *at(served), *patterns)) == sorted(printed)


def test_members_come_in_the_order_in_which_they_are_defined(served: Served) -> None:
    assert lines("get", *at(served), "Bench") == BENCH


def test_numbers_are_as_the_device_has_written_them(script: Callable[..., Script]) -> None:
    server = script(
        b"<defNumberVector device='D' name='v' state='Ok' perm='ro'"
        b" timestamp='2026-11-23T01:02:03'>"
        b"<defNumber name='a' format='%g' min='0' max='0' step='0'>\n"
        b" 5.2000000000000001776 \n</defNumber>"
        b"<defNumber name='b' format='%g' min='0' max='0' step='0'>12:30:00</defNumber>"
        b"</defNumberVector>"
    )
    assert lines("get", *at(server), "D.v.a", "D.v.b", "D.v._TS") == [
        "D.v.a=5.2000000000000001776",
        "D.v.b=12:30:00",
        "D.v._TS=2026-11-23T01:02:03",
    ]


DEFINED = (
    b"<defTextVector device='D' name='v' state='Ok' perm='rw'>"
    b"<defText name='t'>one</defText></defTextVector>"
)


def test_what_is_defined_twice_is_printed_once(script: Callable[..., Script]) -> None:
    assert lines("get", *at(script(3 * DEFINED)), "-t", "0.2", "D.*") == ["D.v.t=one"]


def test_what_the_screen_has_no_characters_for(script: Callable[..., Script]) -> None:
    server = script(DEFINED.replace(b"one", "20 °C".encode()))
    assert lines("get", *at(server), "-1", "D.v.t") == ["20 °C"]


def test_json_has_all_that_is_known(served: Served) -> None:
    (task,) = objects("get", *at(served), "My Shop.task")
    assert task.pop("timestamp")
    assert task == {
        "device": "My Shop",
        "vector": "task",
        "member": "n",
        "kind": "number",
        "value": 0.0,
        "state": "Ok",
        "group": "Main",
        "perm": "rw",
        "label": "Number",
        "format": "%5.2f",
        "min": -100.0,
        "max": 100.0,
        "step": 0.0,
    }
    assert objects("get", *at(served), "Bench.lamp._STATE") == [
        {"device": "Bench", "vector": "lamp", "attribute": "_STATE", "value": "Ok"}
    ]
    values = {one["member"]: one["value"] for one in objects("get", *at(served), "Bench")}
    assert values["slow"] == "On"
    assert values["a"] == ""
    assert values["power"] == "Ok"


# When the answer is no ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pattern", ["Bench.target.z", "Bench.nothing.*", "Nobody", "My Shop.bell.press", "My Shop.late"]
)
def test_what_is_not_there(served: Served, pattern: str) -> None:
    said = refusal("get", *at(served), "-t", "0.1", pattern)
    assert said == f"no {pattern} from 127.0.0.1:{served.port}"


def test_what_is_there_is_printed_before_what_is_not_is_named(served: Served) -> None:
    result = trindi("get", *at(served), "-t", "0.1", "Bench.target.x", "A.b.c", "D.e.f")
    assert result.exit_code == 1
    assert result.stdout == "Bench.target.x=7\n"
    assert result.stderr == f"Error: no A.b.c, D.e.f from 127.0.0.1:{served.port}\n"


def test_a_blob_is_no_value(served: Served) -> None:
    said = refusal("get", *at(served), "-t", "0.1", "Bench.frame.image")
    assert said == "Bench.frame has BLOBs: receive them with trindi save-blobs"


def test_a_server_that_leaves(script: Callable[..., Script]) -> None:
    server = script(DEFINED, stays=0)
    assert lines("get", *at(server), "D.v.t") == ["D.v.t=one"]
    said = refusal("get", *at(server), "D.v.x")
    assert said == f"no D.v.x from 127.0.0.1:{server.port}, which has closed the connection"


def test_a_server_that_talks_nonsense(script: Callable[..., Script]) -> None:
    nonsense = b"\0junk </a> <setNumberVector device='D'/> <defText>&nope;</defText>"
    server = script(nonsense + DEFINED)
    assert lines("get", *at(server), "D.v.t") == ["D.v.t=one"]


def test_patience_is_for_what_may_yet_come(script: Callable[..., Script]) -> None:
    # With a deadline of an hour for each, it ends where all is known.
    assert lines("get", *at(script(DEFINED)), "-t", "3600", "D.v.t") == ["D.v.t=one"]
