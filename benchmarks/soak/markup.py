"""One client floods the server with what no honest peer sends; another one must not wait long."""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING, Final

from benchmarks.soak.beside import beside
from benchmarks.soak.flood import Bystander
from benchmarks.soak.load import get, program

if TYPE_CHECKING:
    from benchmarks.soak.figures import Figure
    from benchmarks.soak.load import Process

SPEEDS: Final = {"at 90 kB/s": 90_000, "at full speed": 0}
"""Bytes a second: what a poor line carries, and as fast as it goes."""

ROOM: Final = 1024 * 1024 - 4096
"""Bytes of what fills an element: it is just small enough to be taken."""

LONG: Final = 5
"""How many times as long an element goes on at 90 kB/s: it takes 12 s."""


def _element(kind: str, name: str, member: str, filling: bytes) -> bytes:
    start = f'<new{kind}Vector device="Soak" name="{name}"><one{kind} name="{member}">'
    end = f"</one{kind}></new{kind}Vector>\n"
    return start.encode() + filling + end.encode()


def _members() -> bytes:
    filling = bytearray(b"1")
    for number in itertools.count():
        if len(filling) > ROOM:
            return _element("Number", "quick", "v", bytes(filling))
        filling += b'</oneNumber><oneNumber name="m%d">1' % number
    raise AssertionError


ENDLESS: Final = {"<": b"<" * 65536, "<!>": b"<!>" * 21845, "<a/>": b"<a/>" * 16384}
"""What begins no element of ours."""


def filled(flood: str) -> bytes:
    """Return an element of 1 MiB, of one kind of filling."""
    match flood:
        case "members":
            return _members()
        case "references":
            return _element("Text", "text", "t", b"&amp;" * (ROOM // 5))
        case _:
            return _element("Number", "quick", "v", b"1" + b"<!---->" * (ROOM // 7))


FLOODS: Final = (*ENDLESS, "members", "references", "comments")
"""What is sent again and again."""


def markup(seconds: float, *, floods: tuple[str, ...] = FLOODS) -> list[Figure]:
    """Send each flood slowly and as fast as it goes, and see how long another client waits."""
    cases = [(flood, case) for flood in floods for case in SPEEDS]
    lasts = {
        (flood, case): LONG if flood not in ENDLESS and SPEEDS[case] else 1 for flood, case in cases
    }
    unit = seconds / sum(lasts.values())

    def measure(server: Process, flood: str, speed: int, seconds: float) -> list[Figure]:
        with program("markup_flooder", str(server.port), flood, str(speed)) as flooder:
            # It says so when it has connected.
            assert flooder.stdout is not None
            flooder.stdout.readline()
            bystander = Bystander(server.port, "echo0", get("echo0"), seconds)
            bystander.run()
        return bystander.figures()

    return beside(
        {
            f"{flood} {case}": partial(
                measure, flood=flood, speed=SPEEDS[case], seconds=unit * lasts[flood, case]
            )
            for flood, case in cases
        }
    )
