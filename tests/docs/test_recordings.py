"""What the page on recordings shows, and what it says of the file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import trio

import thermostat_target
from tests.kit.docs import DOCS, SNIPPETS, code, table
from tests.kit.peers import Client
from trindi import IPyServer, defNumberVector
from trindi.protocol import getProperties
from trindi.recording import Recording, ReplayDriver, Side
from trindi.recording.jsonl import VERSIONS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

    Load = Callable[[str], ModuleType]


async def test_a_night_is_recorded_and_shown(
    snippet: Load, nursery: trio.Nursery, tmp_path: Path
) -> None:
    module: Any = snippet("record_and_replay")
    path = tmp_path / "night.jsonl"
    async with trio.open_nursery() as inner:
        drivers = [thermostat_target.make_driver()]
        server = await inner.start(IPyServer(drivers, "127.0.0.1", 0).run)
        inner.start_soon(module.record_night, *server.addresses[0], path)
        with trio.fail_after(30):
            # The driver may start after the question: then each property comes by itself.
            while not (path.exists() and "targetvector" in path.read_text()):  # noqa: ASYNC110
                await trio.sleep(0.01)
        inner.cancel_scope.cancel()
    assert Recording(path).said_by("client") == [getProperties()]
    server = await nursery.start(module.show_night(path, 0).run)
    async with await trio.open_tcp_stream(*server.addresses[0]) as stream:
        client = Client(stream)
        await client.send(getProperties())
        event = await client.next(defNumberVector, "targetvector")
    assert event in Recording(path).said_by("server")


def test_the_file_that_is_shown_is_a_recording() -> None:
    recording = Recording(SNIPPETS / "night.jsonl")
    assert recording.clock == "virtual"
    assert {entry.source for entry in recording} == set(Side)
    assert list(ReplayDriver(recording)) == ["Thermostat"]


def test_the_page_names_the_version_and_each_key() -> None:
    page = (DOCS / "recordings.md").read_text(encoding="utf-8")
    assert f"the version of the format, {VERSIONS[-1]};" in page
    lines = (SNIPPETS / "night.jsonl").read_text(encoding="utf-8").splitlines()
    keys = [set(re.findall(r'^\{"([\w ]+)"|, "(\w+)": ', line)) for line in lines]
    first = {code(row[0]) for row in table(DOCS / "recordings.md", "first")}
    assert first == {name or other for name, other in keys[0]}
