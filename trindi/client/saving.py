"""Frames to files. A server chooses the names of its devices, but not where files are written."""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from trindi.client.inbox import Frame, Frames
    from trindi.transport import InThread

MAX_NAME_PART: Final = 63  # characters of each name in that of a file, as in libindi

# Of the format: a file name has at most 255 in all.
_MAX_FORMAT: Final = 32

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9 _+-]")
_UNSAFE_IN_FORMAT: Final = re.compile(r"[^A-Za-z0-9._+-]")


def file_name(frame: Frame, number: int) -> str:
    """Return the name of a frame's file: device, property, member, number and format."""
    names = (frame.devicename, frame.vectorname, frame.membername)
    parts = [_UNSAFE.sub("_", name)[:MAX_NAME_PART] for name in names]
    suffix = _UNSAFE_IN_FORMAT.sub("_", frame.format)[:_MAX_FORMAT]
    return f"{'.'.join(parts)}.{number:04}.{suffix.strip('.') or 'bin'}"


class SavedFrames:
    """An async iterator that saves each frame, and yields the path of its file.

    If cancelled, no frame is lost: an unfinished file is finished, or removed, and its frame comes
    next. So does a frame whose file cannot be written. `size` is that of the last file, in bytes.
    """

    def __init__(self, frames: Frames, directory: str | Path, in_thread: InThread) -> None:
        self._frames = frames
        self._in_thread = in_thread
        self._directory = Path(directory)
        self._number = 0
        self.size = 0
        # Taken from the iterator, but in no file.
        self._unsaved: list[Frame] = []

    @property
    def drops(self) -> int:
        """How many frames were replaced by a newer one."""
        return self._frames.drops

    def __aiter__(self) -> SavedFrames:
        return self

    async def __anext__(self) -> Path:
        frame = self._unsaved.pop(0) if self._unsaved else await self._frames.__anext__()
        try:
            path: Path = await self._in_thread(self._save, frame)
        except BaseException:
            self._unsaved.append(frame)
            raise
        self.size = len(frame)
        return path

    def _save(self, frame: Frame) -> Path:
        # Other tasks and programs may save here, too.
        part = self._directory / f"{secrets.token_hex(8)}.part"
        try:
            part.write_bytes(frame)
            return self._name(part, frame)
        finally:
            part.unlink(missing_ok=True)

    def _name(self, part: Path, frame: Frame) -> Path:
        while True:
            self._number += 1
            path = self._directory / file_name(frame, self._number)
            if _claim(path, part):
                return path


def _claim(path: Path, part: Path) -> bool:
    """Give a complete file its name, unless that is taken."""
    try:
        path.hardlink_to(part)
    except FileExistsError:
        return False
    except OSError:
        return _claim_without_links(path, part)
    return True


def _claim_without_links(path: Path, part: Path) -> bool:
    """Do so on a file system such as FAT: for a moment an empty file has the name."""
    try:
        path.open("xb").close()
    except FileExistsError:
        return False
    try:
        part.replace(path)
    except BaseException:
        path.unlink()
        raise
    return True
