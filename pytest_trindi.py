"""Fixtures for pytest: the functions of `trindi.testing`, bound to the test's own nursery.

pytest imports this module wherever trindi is installed, before it measures coverage, and even if no
test uses it. So it stands beside the package, and imports the package only in a fixture: it must
neither spoil trindi's own coverage nor slow down other projects' tests. The fixtures need
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


def _bind(name: str, nursery: trio.Nursery, config: pytest.Config) -> Any:
    from trindi import testing  # noqa: PLC0415 - see above

    return partial(getattr(testing, name), nursery, seed=config.getoption("trindi_seed"))


@pytest.fixture
def start_driver(nursery: trio.Nursery, pytestconfig: pytest.Config) -> Any:
    """`trindi.testing.start_driver` in the nursery of the test: await it with the driver.

    Use `autojump_clock` beside it, so that time is virtual.
    """
    return _bind("start_driver", nursery, pytestconfig)


@pytest.fixture
def start_server(nursery: trio.Nursery, pytestconfig: pytest.Config) -> Any:
    """`trindi.testing.start_server` in the nursery of the test: await it with the drivers.

    Use `autojump_clock` beside it, so that time is virtual.
    """
    return _bind("start_server", nursery, pytestconfig)


@pytest.fixture
def start_replay(nursery: trio.Nursery, pytestconfig: pytest.Config) -> Any:
    """`trindi.testing.start_replay` in the nursery of the test: await it with the recording.

    Use `autojump_clock` beside it, so that time is virtual.
    """
    return _bind("start_replay", nursery, pytestconfig)


@pytest.fixture
def replay_to(nursery: trio.Nursery, pytestconfig: pytest.Config) -> Any:
    """`trindi.testing.replay_to` in the nursery: await it with drivers and the recording.

    Use `autojump_clock` beside it, so that time is virtual.
    """
    return _bind("replay_to", nursery, pytestconfig)
