"""Tests against the reference programs: all are marked interop, and need Debian's indi-bin."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.kit.interop import TOOLS, Bench

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this directory."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.interop)


@pytest.fixture(scope="session")
def _tools() -> None:
    """Skip where the reference programs are missing, and say so; where they must be there, fail."""
    missing = ", ".join(tool for tool in TOOLS if shutil.which(tool) is None)
    if not missing:
        return
    reason = f"NOT TESTED against the reference programs: {missing} not found; install indi-bin"
    required = os.environ.get("TRINDI_REQUIRE_INTEROP") == "1" or os.environ.get("CI") == "true"
    if required:
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def bench(_tools: None, tmp_path: Path) -> Iterator[Bench]:
    """Start programs; they are ended when the test is over."""
    bench = Bench(tmp_path)
    yield bench
    bench.close()
