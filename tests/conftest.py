"""How hard tests with random input try, and how long a slow test may take."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import settings

from tests.strategies import examples

SLOW_SECONDS: Final = 600
"""Seconds after which a slow test is taken to hang, unless its own mark says otherwise."""

settings.register_profile("trindi", examples(100), deadline=None)
settings.load_profile("trindi")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give slow tests more time."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_SECONDS))
