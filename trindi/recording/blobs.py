"""The payloads of BLOBs in a recording.

Small payloads stand in their line as base64. Each larger one is a file in a directory that is named
after the recording. Past a bound, only the size and the hash are kept.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
from typing import TYPE_CHECKING, Any, Final

from trindi.protocol import MAX_BLOB_BYTES, plain_format

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAX_INLINE_BLOB: Final = 4096
"""Bytes of a payload that stands in its line; a longer one would hide the rest of the line."""

MAX_KEPT_BLOBS: Final = 1024 * 1024 * 1024
"""Bytes of all payloads of one recording; later ones are left out."""

# Bytes of a payload that is read at once; a thread reads a larger one.
_SMALL: Final = 64 * 1024

_ENDING: Final = ".blobs"
_SUFFIX: Final = re.compile(r"(\.[A-Za-z0-9_]{1,16}){1,3}")
_NAME: Final = re.compile(rf"\d{{6,}}{_SUFFIX.pattern}")


def _directory_of(recording: Path) -> Path:
    # The whole name counts: night.txt may stand beside night.jsonl.
    return recording.with_name(recording.name + _ENDING)


class BlobWriter:
    """Keeps up to `room` bytes of payloads; a recording without a path keeps no larger ones."""

    def __init__(self, recording: Path | None, room: int) -> None:
        self._directory = _directory_of(recording) if recording is not None else None
        self._room = room
        self._files = 0

    def clear(self) -> None:
        """Remove the payloads of an older recording of the same name, and no other files."""
        if self._directory is None or not self._directory.is_dir():
            return
        for path in self._directory.iterdir():
            if _NAME.fullmatch(path.name) and not path.is_dir():
                path.unlink(missing_ok=True)
        # A directory that holds other files stays.
        with contextlib.suppress(OSError):
            self._directory.rmdir()

    def go_on(self) -> None:
        """Keep what is there, and count it."""
        if self._directory is not None and self._directory.is_dir():
            there = [path for path in self._directory.iterdir() if _NAME.fullmatch(path.name)]
            self._files = max((int(path.name.split(".")[0]) for path in there), default=0)
            self._room -= sum(path.stat().st_size for path in there)

    def keep(self, data: bytes, suffix: str) -> Mapping[str, Any]:
        """Keep a payload, and return the JSON object that stands for it."""
        directory, inline = self._directory, len(data) <= MAX_INLINE_BLOB
        if len(data) > self._room or not (inline or directory):
            return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        self._room -= len(data)
        if inline or directory is None:
            return {"base64": base64.b64encode(data).decode()}
        directory.mkdir(exist_ok=True)
        self._files += 1
        # The suffix comes from a peer: it must not lead out of the directory.
        plain = plain_format(suffix)
        ending = plain if _SUFFIX.fullmatch(plain) else ".bin"
        path = directory / f"{self._files:06}{ending}"
        path.write_bytes(data)
        return {"file": f"{directory.name}/{path.name}"}


class BlobReader:
    def __init__(self, recording: Path) -> None:
        self._directory = _directory_of(recording)

    def load(self, kept: Mapping[str, Any]) -> bytes:
        """Return a payload; zeros of the same size if it was left out. ValueError if it is gone."""
        match kept:
            case {"base64": str(text)}:
                return base64.b64decode(text, validate=True)
            case {"file": str(name)}:
                return self._read(name)
            case {"size": int(size)} if 0 <= size <= MAX_BLOB_BYTES:
                return bytes(size)
        raise ValueError(f"{kept!r} is not a payload")

    def is_small(self, kept: Mapping[str, Any]) -> bool:
        """Whether `load` does not take long."""
        match kept:
            case {"file": str(name)}:
                with contextlib.suppress(OSError, ValueError):
                    return self._path(name).stat().st_size <= _SMALL
            case {"size": int(size)}:
                return size <= _SMALL
        return True

    def _path(self, name: str) -> Path:
        directory, _, file = name.partition("/")
        path = self._directory / file
        # A recording may come from anybody: it may name only its own files. The directory has the
        # recording's present name, for both may have been renamed.
        if not directory.endswith(_ENDING) or path.parent != self._directory or file == "..":
            raise ValueError(f"{name!r} is not a file of this recording")
        return path

    def _read(self, name: str) -> bytes:
        try:
            return self._path(name).read_bytes()
        except OSError as error:
            raise ValueError(f"its file {name} cannot be read: {error.strerror}") from None
