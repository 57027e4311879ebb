"""Numbers as a line of blocks, one for each, from the least of them to the greatest. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["sparkline"]

_BLOCKS: Final = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float]) -> str:
    """Draw numbers; if all are the same, as a low line."""
    least, greatest = min(values, default=0.0), max(values, default=0.0)
    # Of each half first, for the whole may be more than a float can be.
    span = greatest / 2 - least / 2
    if not span:
        return _BLOCKS[0] * len(values)
    last = len(_BLOCKS) - 1
    return "".join(_BLOCKS[round((one / 2 - least / 2) / span * last)] for one in values)
