"""What the tests of this directory share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.kit.hostile import Scene
from tests.kit.server import Bench, Connect, connections, start

if TYPE_CHECKING:
    import trio

connect = pytest.fixture(connections, name="connect")


@pytest.fixture
def options() -> dict[str, Any]:
    """What the server is told; a test may parametrise it."""
    return {}


@pytest.fixture
async def scene(
    nursery: trio.Nursery,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
    options: dict[str, Any],
) -> Scene:
    """A server with a good and a bad client, both connected."""
    bench = Bench()
    server = await start(nursery, bench, **options)
    scene = Scene(bench, server, (await connect(server), await connect(server)), caplog)
    await nursery.start(scene.watch)
    await scene.bad.sync()
    return scene
