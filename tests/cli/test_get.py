"""`trindi get`: what it prints, when it ends, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from tests.kit.cli import BRIEFLY, at, lines, objects, refusal, trindi
from tests.kit.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.cli import Script, Served

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
        (["-1", "Bench.lamp._STATE"], ["Ok"]),
        (["My Shop.task._STATE"], ["My Shop.task._STATE=Ok"]),
        (["My Shop.task._LABEL"], ["My Shop.task._LABEL=Task"]),
        (["My Shop.task._GROUP"], ["My Shop.task._GROUP=Main"]),
        (["Bench.*._PERM"], [f"Bench.{name}._PERM={perm}" for name, perm in [
            ("count", "ro"), ("target", "rw"), ("serial", "ro"), ("note", "rw"), ("mode", "rw"),
            ("abort", "rw"), ("lamp", "")]]),
        (["Bench.frame._PERM"], ["Bench.frame._PERM=ro"]),
        (["-w", "Bench.*._RULE"], [f"Bench.{name}._RULE={rule}" for name, rule in [
            ("count", ""), ("target", ""), ("serial", ""), ("note", ""), ("mode", "OneOfMany"),
            ("abort", "AtMostOne"), ("lamp", "")]]),
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
    assert lines("get", *at(script(3 * DEFINED)), *BRIEFLY, "D.*") == ["D.v.t=one"]


@pytest.mark.parametrize("text", [b"nan", b"None", b"12,5", b""], ids=repr)
def test_a_number_that_is_none_is_shown_as_such_beside_the_others(
    script: Callable[..., Script], text: bytes
) -> None:
    limits = b"format='%g' min='0' max='0' step='0'"
    server = script(
        b"<defNumberVector device='D' name='v' state='Ok' perm='ro'>"
        b"<defNumber name='a' %b>%b</defNumber><defNumber name='b' %b>2.5</defNumber>"
        b"</defNumberVector>" % (limits, text, limits)
    )
    assert lines("get", *at(server), *BRIEFLY, "D.v.*") == ["D.v.a=nan", "D.v.b=2.5"]
    a, b = objects("get", *at(server), *BRIEFLY, "D.v.*")
    assert (a["value"], b["value"]) == (None, 2.5)


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
        "message": None,
        "group": "Main",
        "perm": "rw",
        "timeout": 0.1,
        "vector_label": "Task",
        "label": "Number",
        "format": "%5.2f",
        "min": -100.0,
        "max": 100.0,
        "step": 0.0,
    }
    assert objects("get", *at(served), "Bench.lamp._STATE") == [
        {"device": "Bench", "vector": "lamp", "attribute": "_STATE", "value": "Ok"}
    ]
    every = {one["member"]: one for one in objects("get", *at(served), "Bench")}
    assert every["slow"]["value"] == "On"
    assert every["a"]["value"] == ""
    assert every["power"]["value"] == "Ok"
    # Lights have no timeout, and only switches a rule.
    assert every["power"]["timeout"] is None
    assert {name: one["rule"] for name, one in every.items() if "rule" in one} == {
        "slow": "OneOfMany",
        "fast": "OneOfMany",
        "now": "AtMostOne",
    }


def test_json_has_what_was_said_with_the_definition(script: Callable[..., Script]) -> None:
    server = script(DEFINED.replace(b" perm=", b" timeout='60' message='at last' label='V' perm="))
    (about,) = objects("get", *at(server), "D.v.t")
    assert (about["message"], about["vector_label"], about["label"]) == ("at last", "V", "t")
    assert about["timeout"] == 60


# How long it waits -------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["D.v", "D.v.*", "D.v._STATE"])
def test_a_property_is_complete_when_it_arrives(
    script: Callable[..., Script], pattern: str
) -> None:
    # A wait that has no end here.
    assert lines("get", *at(script(DEFINED)), "-t", "1e9", pattern)


@pytest.mark.parametrize("pattern", ["D", "*.v", "D.*.t"])
def test_an_answer_that_was_cut_short_is_no_success(
    script: Callable[..., Script], pattern: str
) -> None:
    result = trindi("get", *at(script(DEFINED, stays=0.1)), "-t", "1e9", pattern)
    assert result.exit_code == 1
    assert result.stdout == "D.v.t=one\n"
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert line.endswith(": there may be more")


# When the answer is no ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pattern", ["Bench.nothing.*", "Nobody", "Nobody.*._STATE", "My Shop.late", "*.*.z"]
)
def test_what_is_not_there(served: Served, pattern: str) -> None:
    said = refusal("get", *at(served), *BRIEFLY, pattern)
    assert said == f"no {pattern} from 127.0.0.1:{served.port}"


def test_a_server_that_says_nothing(script: Callable[..., Script]) -> None:
    server = script(b"")
    said = refusal("get", *at(server), *BRIEFLY)
    assert said == f"nothing was defined by 127.0.0.1:{server.port}"


def test_an_error_is_one_line_of_a_few_screens_at_most() -> None:
    said = refusal("get", "--host", "no\nsuch host", "A.b.c")
    assert said.startswith("cannot connect to no such host:7624: ")
    said = refusal("wait", f"A.{'c' * 100_000} > 1", status=2)
    assert len(said) < 1000
    assert " … " in said


def test_what_is_there_is_printed_before_what_is_not_is_named(served: Served) -> None:
    result = trindi("get", *at(served), *BRIEFLY, "Bench.target.x", "A.b.c", "D.e.f")
    assert result.exit_code == 1
    assert result.stdout == "Bench.target.x=7\n"
    assert result.stderr == f"Error: no A.b.c, D.e.f from 127.0.0.1:{served.port}\n"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["Bench.frame.image"], "Bench.frame has BLOBs: receive them with trindi save-blobs"),
        (["Bench.frame"], "Bench.frame has BLOBs: receive them with trindi save-blobs"),
        (["My Shop.bell.press"], "My Shop.bell is write-only: print it with -w"),
        (["My Shop.bell._STATE"], "My Shop.bell is write-only: print it with -w"),
        (
            ["My Shop.bell", "Bench.frame.i*"],
            "My Shop.bell is write-only: print it with -w; "
            "Bench.frame has BLOBs: receive them with trindi save-blobs",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_is_there_and_has_no_line(served: Served, arguments: list[str], reason: str) -> None:
    said = refusal("get", *at(served), "-t", "30", *arguments)
    assert sorted(said.split("; ")) == sorted(reason.split("; "))


@pytest.mark.parametrize("arguments", [["D.v"], ["D.v.b"], ["-w", "D.v.b"], ["-w", "D.v"]])
def test_a_blob_that_is_never_sent(script: Callable[..., Script], arguments: list[str]) -> None:
    defined = b"<defBLOBVector device='D' name='v' state='Ok' perm='wo'><defBLOB name='b'/>"
    server = script(defined + b"</defBLOBVector>")
    said = refusal("get", *at(server), *BRIEFLY, *arguments)
    assert said == "D.v is write-only: its BLOBs are never sent"


def test_what_has_no_line_is_named_beside_what_is_not_there(served: Served) -> None:
    said = refusal("get", *at(served), *BRIEFLY, "Bench.frame.image", "Nobody.a.b")
    assert said == (
        "Bench.frame has BLOBs: receive them with trindi save-blobs; "
        f"no Nobody.a.b from 127.0.0.1:{served.port}"
    )


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["-1"], "-1 prints one value: name one DEVICE.VECTOR.MEMBER, without a *"),
        (["-1", "A.b"], "-1 prints one value: name one DEVICE.VECTOR.MEMBER, without a *"),
        (["-1", "A.b.*"], "-1 prints one value: name one DEVICE.VECTOR.MEMBER, without a *"),
        (
            ["-1", "A.b.c", "A.b.d"],
            "-1 prints one value: name one DEVICE.VECTOR.MEMBER, without a *",
        ),
        (
            ["-1", "--json", "A.b.c"],
            "-1 prints a value alone, and --json all about it: give one of them",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_value_alone_is_one(arguments: list[str], reason: str) -> None:
    assert refusal("get", *arguments, status=2) == f"{reason} (see main get --help)"


def test_a_server_that_leaves(script: Callable[..., Script]) -> None:
    server = script(DEFINED, stays=0)
    assert lines("get", *at(server), "D.v.t") == ["D.v.t=one"]
    said = refusal("get", *at(server), "D.v.x")
    end = f"from 127.0.0.1:{server.port}, which has closed the connection"
    assert said == f"no D.v.x (D.v has t) {end}"
    assert refusal("get", *at(server), "E.v.x") == f"no E.v.x {end}"


def test_a_server_that_talks_nonsense(script: Callable[..., Script]) -> None:
    nonsense = b"\0junk </a> <setNumberVector device='D'/> <defText>&nope;</defText>"
    server = script(nonsense + b"<message message='x'/>" + DEFINED)
    assert lines("get", *at(server), "D.v.t") == ["D.v.t=one"]


def test_a_server_that_says_when_it_has_told_all(served: Served) -> None:
    # Nothing more is waited for, though a * may match more, and nothing of it is left out.
    assert sorted(lines("get", *at(served), "-t", "3600")) == sorted(BENCH + SHOP)
    assert lines("get", *at(served), "-t", "3600", "Bench") == BENCH


def test_what_comes_when_all_was_told(served: Served, beside: Callable[..., None]) -> None:
    def come() -> None:
        wait_until(lambda: served.bench.running, "the driver runs")
        served.call(trio.sleep, 1)
        late = served.drivers[1]["My Shop"]["late"]
        late.enable = True
        served.call(late.send_defVector)

    beside(come)
    assert lines("get", *at(served), "-t", "30", "My Shop.late") == ["My Shop.late.t="]


def test_patience_is_for_what_may_yet_come(script: Callable[..., Script]) -> None:
    # With a deadline of an hour for each, it ends where all is known.
    assert lines("get", *at(script(DEFINED)), "-t", "3600", "D.v.t") == ["D.v.t=one"]
