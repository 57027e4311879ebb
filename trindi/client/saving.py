"""Frames to files. A server chooses the names of its devices, but not where files are written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from trindi.client.inbox import Frame, Frames
    from trindi.transport.conditions import InThread

__all__ = ["SavedFrames", "file_name"]

MAX_NAME_PART: Final = 63
"""Characters of each name in the name of a file, as many as libindi keeps."""

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9 _+-]")
_UNSAFE_IN_FORMAT: Final = re.compile(r"[^A-Za-z0-9._+-]")


def file_name(frame: Frame, number: int) -> str:
    """Return what a frame is saved as: device, property, member, number and format."""
    names = (frame.devicename, frame.vectorname, frame.membername)
    parts = [_UNSAFE.sub("_", name)[:MAX_NAME_PART] for name in names]
    # The bytes were decompressed when they were received.
    suffix = _UNSAFE_IN_FORMAT.sub("_", frame.format.removesuffix(".z"))[:MAX_NAME_PART]
    return f"{'.'.join(parts)}.{number:04}.{suffix.strip('.') or 'bin'}"


class SavedFrames:
    """An async iterator that saves each frame, and yields the path of its file.

    If cancelled, a file that was begun is finished, or removed.

    Attributes:
        drops: how many frames a newer one took the place of.
    """

    def __init__(self, frames: Frames, directory: str | Path, in_thread: InThread) -> None:
        self._frames = frames
        self._in_thread = in_thread
        self._directory = Path(directory)
        self._number = 0

    @property
    def drops(self) -> int:
        """How many frames a newer one took the place of."""
        return self._frames.drops

    def __aiter__(self) -> SavedFrames:
        return self

    async def __anext__(self) -> Path:
        frame = await self._frames.__anext__()
        path: Path = await self._in_thread(self._save, frame)
        return path

    def _save(self, frame: Frame) -> Path:
        path = self._free_path(frame)
        part = path.with_name(path.name + ".part")
        try:
            part.write_bytes(frame)
            part.rename(path)
        finally:
            part.unlink(missing_ok=True)
        return path

    def _free_path(self, frame: Frame) -> Path:
        while True:
            self._number += 1
            path = self._directory / file_name(frame, self._number)
            if not path.exists():
                return path
