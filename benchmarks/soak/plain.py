"""The device that is soaked as bytes on standard input and output, for indiserver.

``python -m benchmarks.soak.plain``. It parses as little as it can, so that what is measured is
indiserver. A request for ``stuck`` is the last that it reads.
"""

from __future__ import annotations

import os
import re
import threading
import time
from typing import Final

from benchmarks.soak.frames import Frames, encoded

NEW: Final = re.compile(
    rb'<newNumberVector device="Soak" name="(\w+)">(.*?)</newNumberVector>', re.DOTALL
)
VALUE: Final = re.compile(rb'name="(\w+)">\s*([0-9.]+)\s*<')

NUMBERS: Final = ("stream", "quick", "slow", "stuck", "echo0", "echo1", "echo2")

_lock = threading.Lock()


def send(*elements: bytes) -> None:
    """Write whole elements, whichever thread has them."""
    with _lock:
        for element in elements:
            view = memoryview(element)
            while view:
                view = view[os.write(1, view) :]


def define(kind: str, name: str, member: str, more: str) -> bytes:
    """Write a definition."""
    return (
        f'<def{kind}Vector device="Soak" name="{name}" label="" group="Soak" state="Ok" perm="rw" '
        f'timeout="0"><def{kind} name="{member}" label=""{more}</def{kind}></def{kind}Vector>\n'
    ).encode()


DEFINITIONS: Final = [
    *(define("Number", name, "v", ' format="%g" min="0" max="0" step="0">0') for name in NUMBERS),
    define("Text", "text", "t", ">"),
    define("BLOB", "frame", "b", ">"),
    define("BLOB", "upload", "b", ">"),
]


def stream(size: int, count: int, rate: float) -> None:
    """Send frames, each when it is due, or as soon as the one before has gone."""
    frames = Frames(size)
    start = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, start + number / rate - time.monotonic()))
        send(encoded(frames, number))


def answer(name: bytes, values: dict[bytes, bytes]) -> None:
    """Act on one request."""
    if name == b"stuck":
        time.sleep(3600)
    elif name == b"stream":
        arguments = int(values[b"size"]), int(values[b"count"]), float(values[b"rate"])
        threading.Thread(target=stream, args=arguments, daemon=True).start()
    else:
        send(
            b'<setNumberVector device="Soak" name="%b" state="Ok">'
            b'<oneNumber name="v">%b</oneNumber></setNumberVector>\n'
            % (name, values.get(b"v", b"0"))
        )


def main() -> None:
    """Answer until standard input ends."""
    rest = bytearray()
    while data := os.read(0, 1 << 20):
        rest += data
        if b"<getProperties" in rest:
            send(*DEFINITIONS)
            del rest[: rest.rindex(b"<getProperties") + 14]
        end = 0
        for request in NEW.finditer(rest):
            end = request.end()
            answer(request[1], dict(VALUE.findall(request[2])))
        # What is left may be the start of a request; all else is not for it.
        del rest[: max(end, rest.rfind(b"<newNumberVector"), len(rest) - 64)]


if __name__ == "__main__":
    main()
