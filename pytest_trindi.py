"""Fixtures for pytest: the functions of `trindi.testing`, bound to the test's own nursery.

pytest imports this module wherever trindi is installed, before it measures coverage, and even if no
test uses it. So it stands beside the package, and imports the package only in a fixture: it must
neither spoil trindi's own coverage nor slow down other projects' tests. The fixtures need
pytest-trio.
"""

from __future__ import annotations

from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

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


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Run a test under a clock that only its fixtures, or `usefixtures`, ask for.

    pytest-trio looks for a clock in the arguments of the test alone, and would run it in real time.
    """
    if isinstance(item, pytest.Function) and item.get_closest_marker("trio") is not None:
        _use_clock(item)
    return (yield)


def _use_clock(item: pytest.Function) -> None:
    import trio  # noqa: PLC0415 - pytest-trio, which runs the test, has loaded it

    clocks = {name: one for name, one in item.funcargs.items() if isinstance(one, trio.abc.Clock)}
    if not clocks or clocks.keys() & signature(item.obj).parameters.keys():
        return  # The test's own argument comes before those of its fixtures.
    if len({id(clock) for clock in clocks.values()}) > 1:
        pytest.fail(f"the test has {len(clocks)} clocks, {' and '.join(clocks)}: use one of them")
    if hasattr(item.obj, "hypothesis"):
        pytest.fail(f"a test of Hypothesis takes its clock as an argument: {', '.join(clocks)}")
    given = (marker.kwargs.get("run") for marker in item.iter_markers("trio"))
    run = next(filter(None, given), trio.run)
    clock = next(iter(clocks.values()))

    def run_under_clock(async_fn: Any, **options: Any) -> Any:
        return run(async_fn, **(options | {"clock": clock}))

    item.add_marker(pytest.mark.trio(run=run_under_clock), append=False)


def _bind(name: str, nursery: trio.Nursery, config: pytest.Config) -> Any:
    from trindi import testing  # noqa: PLC0415 - see above

    return partial(getattr(testing, name), nursery, seed=config.getoption("trindi_seed"))


@pytest.fixture
def start_driver(nursery: trio.Nursery, pytestconfig: pytest.Config) -> Any:
    """`trindi.testing.start_driver` in the nursery of the test: await it with the driver.

    Use `autojump_clock` beside it, in the test or in a fixture, so that time is virtual.
    """
    return _bind("start_driver", nursery, pytestconfig)


@pytest.fixture
def start_server(nursery: trio.Nursery, pytestconfig: pytest.Config) -> Any:
    """`trindi.testing.start_server` in the nursery of the test: await it with the drivers.

    Use `autojump_clock` beside it, in the test or in a fixture, so that time is virtual.
    """
    return _bind("start_server", nursery, pytestconfig)


@pytest.fixture
def start_replay(nursery: trio.Nursery, pytestconfig: pytest.Config) -> Any:
    """`trindi.testing.start_replay` in the nursery of the test: await it with the recording.

    Use `autojump_clock` beside it, in the test or in a fixture, so that time is virtual.
    """
    return _bind("start_replay", nursery, pytestconfig)


@pytest.fixture
def replay_to(nursery: trio.Nursery, pytestconfig: pytest.Config) -> Any:
    """`trindi.testing.replay_to` in the nursery: await it with drivers and the recording.

    Use `autojump_clock` beside it, in the test or in a fixture, so that time is virtual.
    """
    return _bind("replay_to", nursery, pytestconfig)
