"""What the tests of the protocol share."""

from collections.abc import Iterator
from unittest import mock

import pytest

from trindi.protocol import blob_collector


@pytest.fixture(scope="module", params=[None, -1], ids=["", "collecting"])
def with_and_without_collecting(request: pytest.FixtureRequest) -> Iterator[None]:
    """Try all with payloads that are decoded while they come, however short they are, too."""
    enough = blob_collector._MIN_BYTES if request.param is None else request.param
    with mock.patch.object(blob_collector, "_MIN_BYTES", enough):
        yield
