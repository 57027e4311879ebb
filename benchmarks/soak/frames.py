"""The frames that the server sends and the clients check: a number, then bytes that follow from it.

Comparing is much cheaper than hashing, and finds more. This module knows nothing of trindi.
"""

from __future__ import annotations

import base64
import random
from typing import Final

__all__ = ["Frames", "encoded", "number_of"]

# A multiple of three, so that base64 of what follows begins at its own character.
_NUMBER_BYTES: Final = 12

_KINDS: Final = 4


class Frames:
    """Frames of one size; each is unlike the one before it.

    Args:
        size: bytes of a frame, more than its number takes.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.encoded_size = 4 * ((size + 2) // 3)
        blocks = random.Random(size)
        self._bodies = [blocks.randbytes(size - _NUMBER_BYTES) for _ in range(_KINDS)]
        self._texts = [base64.b64encode(body) for body in self._bodies]

    def payload(self, number: int) -> bytes:
        """Return the bytes of a frame."""
        return number.to_bytes(_NUMBER_BYTES, "big") + self._bodies[number % _KINDS]

    def is_encoded(self, number: int, text: bytearray) -> bool:
        """Whether this is the base64 of the frame of that number, to the last character."""
        head = base64.b64encode(number.to_bytes(_NUMBER_BYTES, "big"))
        body = self._texts[number % _KINDS]
        whole = len(text) == self.encoded_size
        return whole and text.startswith(head) and text.endswith(body)


def encoded(frames: Frames, number: int) -> bytes:
    """Return the element that a frame is sent in."""
    return (
        b'<setBLOBVector device="Soak" name="frame"><oneBLOB name="b" size="%d" format=".bin">%b'
        b"</oneBLOB></setBLOBVector>\n"
    ) % (frames.size, base64.b64encode(frames.payload(number)))


def number_of(start: bytes) -> int:
    """Return the number of a frame, of which the first 16 characters have come."""
    return int.from_bytes(base64.b64decode(start), "big")
