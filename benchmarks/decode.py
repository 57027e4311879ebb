"""Decoding without I/O: trindi's decoder beside a bare XML parser; prints JSON.

``python -m benchmarks.decode ELEMENTS TIMES`` runs both in one process, in turn. The bare parser is
DefusedXMLParser with a target that merely builds what an element is: its name, its attributes, and
the name and text of each member. It checks nothing and reads no number, and it must be given a root
element.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable

from defusedxml.ElementTree import DefusedXMLParser

from trindi.protocol import Decoder

READ = 65536
Built = tuple[str, dict[str, str], list[tuple[str, str]]]
Decode = Callable[[Iterable[bytes]], int]


class Target:
    """Builds each element that stands in the root."""

    def __init__(self) -> None:
        self.built: list[Built] = []
        self._depth = 0
        self._members: list[tuple[str, str]] = []
        self._attributes: dict[str, str] = {}
        self._name = ""
        self._text: list[str] = []

    def start(self, _tag: str, attributes: dict[str, str]) -> None:
        """Enter the root, an element or a member."""
        self._depth += 1
        if self._depth == 2:
            self._attributes, self._members = attributes, []
        elif self._depth == 3:
            self._name, self._text = attributes["name"], []

    def data(self, text: str) -> None:
        """Take a piece of text."""
        self._text.append(text)

    def end(self, tag: str) -> None:
        """Leave it."""
        if self._depth == 3:
            self._members.append((self._name, "".join(self._text)))
        elif self._depth == 2:
            self.built.append((tag, self._attributes, self._members))
        self._depth -= 1

    def close(self) -> None:
        """End the document; it never does."""


def bare(pieces: Iterable[bytes]) -> int:
    """Build all elements with the bare parser; returns how many there were."""
    target = Target()
    parser = DefusedXMLParser(target=target)
    parser.feed(b"<root>")
    count = 0
    for piece in pieces:
        parser.feed(piece)
        count += len(target.built)
        target.built.clear()
    return count


def ours(pieces: Iterable[bytes]) -> int:
    """Decode all elements with trindi; returns how many there were."""
    decoder = Decoder()
    return sum(sum(1 for _ in decoder.feed(piece)) for piece in pieces)


def element(value: int) -> bytes:
    """Write an update of the bench device."""
    return (
        b'<setNumberVector device="Bench" name="value" state="Ok" timeout="0" '
        b'timestamp="2026-01-02T03:04:05"><oneNumber name="v">%d</oneNumber></setNumberVector>\n'
    ) % value


def rate(decode: Decode, pieces: list[bytes], elements: int) -> float:
    """Return elements a second."""
    start = time.perf_counter()
    found = decode(pieces)
    took = time.perf_counter() - start
    if found < elements - 1:  # expat may keep the last one back
        raise RuntimeError(f"{decode.__name__} found {found} of {elements} elements")
    return elements / took


def measure(elements: int, times: int) -> dict[str, dict[str, list[float]]]:
    """Return decoder → metric → its figures, of one decoder and the other in turn."""
    alone = [element(value) for value in range(elements)]
    stream = b"".join(alone)
    ways = {
        "elements/s": [stream[at : at + READ] for at in range(0, len(stream), READ)],
        "each alone/s": alone,
    }
    decoders: dict[str, Decode] = {"trindi": ours, "defusedxml": bare}
    figures: dict[str, dict[str, list[float]]] = {name: {} for name in decoders}
    for _ in range(times):
        for metric, pieces in ways.items():
            for name, decode in decoders.items():
                figures[name].setdefault(metric, []).append(rate(decode, pieces, elements))
    return figures


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]))))
