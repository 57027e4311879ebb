"""What is like a name that is not there, in the words of all commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kit.cli import BRIEFLY, at, refusal
from tests.kit.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.kit.cli import Script, Served


@pytest.mark.parametrize(
    ("wanted", "alike"),
    [
        ("Bnech.target.x", "Bench"),
        ("bench.target.x", "Bench"),
        ("My_Shop.task.n", "My Shop"),
        ("Bench.tagret.x", "Bench.target"),
        ("Bench.TARGET.x", "Bench.target"),
        ("Bench.target.fre", "Bench.target.free"),
        ("Bench.target._STAT", "Bench.target._STATE"),
        ("My Shop.connection.CONNECT", "My Shop.CONNECTION"),
        (
            "My Shop.CONNECTION.connct",
            "My Shop.CONNECTION.CONNECT or My Shop.CONNECTION.DISCONNECT",
        ),
    ],
)
def test_what_is_like_it(served: Served, wanted: str, alike: str) -> None:
    said = refusal("get", *at(served), *BRIEFLY, wanted)
    assert said == f"no {wanted} (did you mean {alike}?) from 127.0.0.1:{served.port}"


@pytest.mark.parametrize(
    ("wanted", "alike"),
    [
        ("Bench.tagret", "Bench.target"),
        ("Bench.tagret.*", "Bench.target"),
        ("*.tagret.x", "Bench.target"),
        ("B*.target.fre", "Bench.target.free"),
        ("Bnech", "Bench"),
    ],
)
def test_what_is_like_a_pattern(served: Served, wanted: str, alike: str) -> None:
    said = refusal("get", *at(served), *BRIEFLY, wanted)
    assert said == f"no {wanted} (did you mean {alike}?) from 127.0.0.1:{served.port}"


@pytest.mark.parametrize("wanted", ["Quux.a.b", "Bench.quux.x", "*.quux.*", "B*ch.tar*ets.x"])
def test_nothing_is_like_it(served: Served, wanted: str) -> None:
    said = refusal("get", *at(served), *BRIEFLY, wanted)
    assert said == f"no {wanted} from 127.0.0.1:{served.port}"


@pytest.mark.parametrize("wanted", ["Bench.target.quux", "B*.target.quux"])
def test_members_are_named_where_none_is_like_it(served: Served, wanted: str) -> None:
    said = refusal("get", *at(served), *BRIEFLY, wanted)
    assert said == f"no {wanted} (Bench.target has x, free) from 127.0.0.1:{served.port}"


def test_of_many_members_some_are_named(script: Callable[..., Script]) -> None:
    members = b"".join(b"<defText name='%d'/>" % number for number in range(100, 111))
    vector = b"<defTextVector device='D.1' name='v' state='Ok' perm='rw'>"
    server = script(vector + members + b"</defTextVector>")
    said = refusal("get", *at(server), *BRIEFLY, "'D.1'.v.abc")
    known = ", ".join(str(number) for number in range(100, 110))
    assert said == f"""no 'D.1'.v.abc ("D.1".v has {known}, …) from 127.0.0.1:{server.port}"""


def test_not_more_than_three_are_named(script: Callable[..., Script]) -> None:
    text = "<defTextVector device='{}' name='v' state='Ok' perm='rw'><defText name='t'/>"
    named = ("Camera", "CAMERA", "Camera 1", "Camera 2")
    said = "".join(f"{text.format(name)}</defTextVector>" for name in named)
    server = script(said.encode())
    said = refusal("get", *at(server), *BRIEFLY, "camera.v.t")
    assert said.count(" or ") == 2
    assert "(did you mean Camera or CAMERA or Camera " in said


def test_all_commands_say_it(served: Served, tmp_path: Path) -> None:
    end = f"from 127.0.0.1:{served.port}"
    said = refusal("set", *at(served), *BRIEFLY, "Bnech.note.a=x")
    assert said == f"no Bnech.note (did you mean Bench?) {end}"
    said = refusal("set", *at(served), *BRIEFLY, "Bench.ntoe.a=x")
    assert said == f"no Bench.ntoe (did you mean Bench.note?) {end}"
    said = refusal("save-blobs", *at(served), *BRIEFLY, "Bench.farme", str(tmp_path))
    assert said == f"no Bench.farme (did you mean Bench.frame?) {end}"
    said = refusal("wait", *at(served), *BRIEFLY, "Bench.target.fre > 1")
    assert said == f"no Bench.target.fre (did you mean Bench.target.free?) {end}"
    said = refusal("wait", *at(served), *BRIEFLY, "Bnech.target.x > 1")
    assert said == "not within 0.5 s: Bnech.target.x (did you mean Bench?) is not there"


@pytest.mark.parametrize(("wanted", "asked"), [("D.w", 1), ("E.v", 2), ("E*", 1)])
def test_all_devices_are_asked_for_only_where_one_is_missing(
    script: Callable[..., Script], wanted: str, asked: int
) -> None:
    text = b"<defTextVector device='D' name='v' state='Ok' perm='rw'><defText name='t'/>"
    server = script(text + b"</defTextVector>")
    refusal("get", *at(server), *BRIEFLY, wanted)
    wait_until(lambda: server.heard.count(b"<getProperties") >= asked, "it is asked")
    assert server.heard.count(b"<getProperties") == asked


def test_a_server_that_does_not_tell_what_else_there_is(script: Callable[..., Script]) -> None:
    server = script(b"")
    said = refusal("set", *at(server), *BRIEFLY, "Bnech.a.b=x")
    assert said == f"no Bnech.a from 127.0.0.1:{server.port}"
