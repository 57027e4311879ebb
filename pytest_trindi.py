"""Fixtures for pytest: what starts drivers in `trindi.testing`, bound to the test's own nursery.

pytest imports this module whenever trindi is installed, before it measures coverage and whether or
not a test asks for it. So it stands beside the package, and imports the package only where a test
asks: trindi's own coverage, and the start of others' tests, are not to suffer. The fixtures need
pytest-trio.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import trio


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for the seed."""
    parser.getgroup("trindi").addoption(
        "--trindi-seed",
        type=int,
        default=0,
        metavar="N",
        help="seed for the order of tasks under a mock clock (default: 0)",
    )


@pytest.fixture
def start_driver(nursery: trio.Nursery, pytestconfig: pytest.Config) -> Any:
    """`trindi.testing.start_driver` in the nursery of the test: give it the driver, and await it.

    Take `autojump_clock` beside it, so that time is virtual.
    """
    from trindi import testing  # noqa: PLC0415 - see above

    return partial(testing.start_driver, nursery, seed=pytestconfig.getoption("trindi_seed"))


@pytest.fixture
def start_server(nursery: trio.Nursery, pytestconfig: pytest.Config) -> Any:
    """`trindi.testing.start_server` in the nursery of the test: give it the drivers, and await it.

    Take `autojump_clock` beside it, so that time is virtual.
    """
    from trindi import testing  # noqa: PLC0415 - see above

    return partial(testing.start_server, nursery, seed=pytestconfig.getoption("trindi_seed"))


@pytest.fixture
def start_replay(nursery: trio.Nursery, pytestconfig: pytest.Config) -> Any:
    """`trindi.testing.start_replay` in the nursery of the test: give it the recording.

    Take `autojump_clock` beside it, so that time is virtual.
    """
    from trindi import testing  # noqa: PLC0415 - see above

    return partial(testing.start_replay, nursery, seed=pytestconfig.getoption("trindi_seed"))


@pytest.fixture
def replay_to(nursery: trio.Nursery, pytestconfig: pytest.Config) -> Any:
    """`trindi.testing.replay_to` in the nursery of the test: give it drivers and the recording.

    Take `autojump_clock` beside it, so that time is virtual.
    """
    from trindi import testing  # noqa: PLC0415 - see above

    return partial(testing.replay_to, nursery, seed=pytestconfig.getoption("trindi_seed"))
