"""How hard the properties of the protocol are tried: many small examples, no clock."""

from collections.abc import Iterator
from unittest import mock

import pytest
from hypothesis import settings

from trindi.protocol import blob_collector

settings.register_profile("trindi", deadline=None, max_examples=100)
settings.load_profile("trindi")


@pytest.fixture(scope="module", params=[None, -1], ids=["", "collecting"])
def with_and_without_collecting(request: pytest.FixtureRequest) -> Iterator[None]:
    """Try all with payloads that are decoded while they come, however short they are, too."""
    enough = blob_collector._ENOUGH if request.param is None else request.param
    with mock.patch.object(blob_collector, "_ENOUGH", enough):
        yield
