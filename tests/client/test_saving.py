"""Frames in files: none is lost or overwritten, also where several iterators save."""

from __future__ import annotations

import errno
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

from trindi import Frame, SizeFormat, setBLOBVector
from trindi.client.inbox import Frames
from trindi.client.saving import SavedFrames, file_name
from trindi.testing import at_once
from trindi.transport import DEFAULT_RUNTIME, EncodedEvent

if TYPE_CHECKING:
    from collections.abc import Callable

    from trindi.transport.runtime import InThread

SAVERS = 4
FRAMES = 25


def frame(data: bytes, suffix: str = ".fits") -> setBLOBVector:
    return setBLOBVector("Dev", "image", {"file": data}, {"file": SizeFormat(len(data), suffix)})


def saving(directory: Path, *frames: bytes, in_thread: InThread = at_once) -> SavedFrames:
    """An iterator for which these frames have arrived."""
    arrived = Frames("Dev", "image")
    for data in frames:
        arrived._put(EncodedEvent(frame(data)))
    arrived.close()
    return SavedFrames(arrived, directory, in_thread)


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


async def test_after_a_cancellation_the_unsaved_frame_comes_next(tmp_path: Path) -> None:
    async def cancelled_at_first(function: Callable[..., Any], *args: Any) -> Any:
        scope.cancel()
        await trio.lowlevel.checkpoint()
        return function(*args)

    saved = saving(tmp_path, b"one", b"two", in_thread=cancelled_at_first)
    with trio.CancelScope() as scope:
        await anext(saved)
    assert scope.cancelled_caught
    assert contents(tmp_path) == {}
    assert [path.read_bytes() async for path in saved] == [b"one", b"two"]


async def test_a_frame_that_could_not_be_written_comes_next(tmp_path: Path) -> None:
    saved = saving(tmp_path / "later", b"one", b"two")
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            await anext(saved)
    (tmp_path / "later").mkdir()
    assert [path.read_bytes() async for path in saved] == [b"one", b"two"]


async def test_two_tasks_that_share_an_iterator_save_each_frame_once(tmp_path: Path) -> None:
    saved = saving(tmp_path, *(bytes([n]) for n in range(1, FRAMES + 1)))

    async def save() -> None:
        async for _ in saved:
            pass

    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(save)
    assert sorted(contents(tmp_path).values()) == [bytes([n]) for n in range(1, FRAMES + 1)]


async def test_iterators_side_by_side_overwrite_nothing(tmp_path: Path) -> None:
    sent = [[b"%d of %d" % (n, saver) for n in range(FRAMES)] for saver in range(SAVERS)]

    async def save(frames: list[bytes]) -> None:
        saved = saving(tmp_path, *frames, in_thread=DEFAULT_RUNTIME.in_thread)
        assert [path.read_bytes() async for path in saved] == frames

    async with trio.open_nursery() as nursery:
        for frames in sent:
            nursery.start_soon(save, frames)
    found = contents(tmp_path)
    assert sorted(found.values()) == sorted(itertools.chain(*sent))
    numbers = range(1, SAVERS * FRAMES + 1)
    assert set(found) == {f"Dev.image.file.{number:04}.fits" for number in numbers}


@pytest.fixture(params=["links", "no links"])
def file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system with hard links, and one without, such as FAT."""

    def refuse(_path: Path, _target: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    if request.param == "no links":
        monkeypatch.setattr(Path, "hardlink_to", refuse)


@pytest.mark.usefixtures("file_system")
async def test_a_file_that_another_program_makes_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_bytes

    def and_so_does_another(path: Path, data: bytes) -> int:
        write(tmp_path / "Dev.image.file.0002.fits", b"another's")
        return write(path, data)

    (tmp_path / "Dev.image.file.0001.fits").symlink_to("nowhere")
    monkeypatch.setattr(Path, "write_bytes", and_so_does_another)
    path = await anext(saving(tmp_path, b"ours"))
    assert path.name == "Dev.image.file.0003.fits"
    assert path.read_bytes() == b"ours"
    (tmp_path / "Dev.image.file.0001.fits").unlink()
    assert contents(tmp_path) == {"Dev.image.file.0002.fits": b"another's", path.name: b"ours"}


async def test_an_empty_file_is_removed_where_the_frame_cannot_replace_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path, _target: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    with monkeypatch.context() as broken:
        broken.setattr(Path, "replace", refuse)
        saved = saving(tmp_path, b"one")
        with pytest.raises(OSError, match="Input/output error"):
            await anext(saved)
    assert contents(tmp_path) == {}
    assert [path.read_bytes() async for path in saved] == [b"one"]


async def test_files_have_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    path = await anext(saving(tmp_path, b"one"))
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode


async def test_the_longest_names_fit(tmp_path: Path) -> None:
    long = "x" * 300
    event = setBLOBVector(long, long, {long: b"one"}, {long: SizeFormat(3, f".{long}")})
    arrived = Frames(long, long)
    arrived._put(EncodedEvent(event))
    path = await anext(SavedFrames(arrived, tmp_path, at_once))
    assert path.read_bytes() == b"one"
    assert len(file_name(Frame._of(event, long), 10**9)) < 255


def test_a_frame_has_the_format_of_its_bytes() -> None:
    formats = {".fits": ".fits", ".fits.z": ".fits", ".z": "", ".Z": ".Z", ".fz": ".fz"}
    assert {said: Frame._of(frame(b"1", said), "file").format for said in formats} == formats
