"""What a contender's processes use, read from /proc: memory, and time on a processor."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PROC = Path("/proc")
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") / 1024


def _processes(group: int) -> Iterator[Path]:
    """Yield the places in /proc of the processes of a group."""
    for place in PROC.iterdir():
        if place.name.isdigit():
            try:
                if os.getpgid(int(place.name)) == group:
                    yield place
            except ProcessLookupError:
                continue


def resident_kib(group: int) -> float:
    """Memory of all processes of a group that is in use and not swapped out."""
    pages = [int((place / "statm").read_text().split()[1]) for place in _processes(group)]
    return sum(pages) * PAGE_KIB


def processor_seconds(group: int) -> float:
    """Time that all threads of a group have run, to the nanosecond."""
    tasks = [task for place in _processes(group) for task in (place / "task").iterdir()]
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
