"""Makes drivers of what a user names: a file, or a module, and a factory in it.

Anything wrong with a target is a `TargetError` of one line; its cause has the traceback.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trio

from trindi.driver import IPyDriver
from trindi.errors import ConfigurationError
from trindi.transport import describe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

_FACTORY: Final = "make_driver"  # the name of the factory, where the target names none

_directories: Final[set[Path]] = set()
"""Where the files of targets are that were loaded, and what they import."""


class TargetError(Exception):
    """A target makes no driver; the text is one line for the user."""


def load_drivers(target: str) -> list[IPyDriver]:
    """Make the drivers of a target; TargetError if that cannot be.

    A target is ``path/to/file.py``, ``path/to/file.py:factory``, ``package.module`` or
    ``package.module:factory``; the factory returns a driver or a list of drivers.
    """
    source, name = _split(target)
    if not (source.endswith(".py") or "/" in source):
        # As for `python -m`: it can name what stands in the current directory.
        with _importing_from(Path.cwd(), "", source):
            return _make_drivers(_load_module(source), source, name)
    path = Path(source).resolve()
    if not path.is_file():
        raise TargetError(f"there is no file {source}")
    # As for a script: it can import what stands beside it.
    with _importing_from(path.parent, str(path.parent), source):
        return _make_drivers(_load_file(path, source), source, name)


@contextlib.contextmanager
def _importing_from(directory: Path, entry: str, source: str) -> Iterator[None]:
    """Let a target import first what is in a directory; TargetError if it gets another's.

    Python knows one module of a name: where two targets each import a helper of their own, the
    second would get that of the first, without a word. So those of others are hidden meanwhile.
    """
    if entry in sys.path:
        sys.path.remove(entry)
    sys.path.insert(0, entry)
    hidden = {
        name: module
        for name, module in sys.modules.items()
        if _origin(top := name.partition(".")[0]) in _directories - {directory}
        and _holds(directory, top, source)
    }
    for name in hidden:
        del sys.modules[name]
    try:
        yield
        for name in hidden.keys() & sys.modules.keys():
            raise TargetError(
                f"{source} imports {sys.modules[name].__file__}, and another target imports "
                f"{hidden[name].__file__}: give one of them another name"
            )
    finally:
        sys.modules.update(hidden)
        _directories.add(directory)


def _origin(name: str) -> Path | None:
    """Return the directory that holds a module or package that is loaded."""
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None:
        return None
    path = Path(file).resolve()
    return path.parent.parent if path.stem == "__init__" else path.parent


def _holds(directory: Path, name: str, source: str) -> bool:
    """Return whether a directory has a module of this name that is not the target itself."""
    found = directory / f"{name}.py", directory / name / "__init__.py"
    return any(one.is_file() and one != Path(source).resolve() for one in found)


def _make_drivers(module: ModuleType, source: str, name: str) -> list[IPyDriver]:
    factory = getattr(module, name, None)
    if not callable(factory):
        raise TargetError(f"{source} has no function {name}")
    try:
        made = factory()
    # SystemExit: a script that exits must not end trindi without an error.
    except (Exception, SystemExit) as error:
        raise _failure(f"{name} of {source} has failed", error) from error
    return _check_made(made, f"{name} of {source}")


def run_driver(target: str) -> None:
    """Run the driver of a target on standard input and output, as indiserver runs a program."""
    (driver,) = load_drivers(target)
    trio.run(driver.run)


def _split(target: str) -> tuple[str, str]:
    """Split a target into a file or module, and the name of its factory."""
    if not target.strip(":"):
        raise TargetError(f"{target!r} names no file and no module")
    source, separator, name = target.rpartition(":")
    if not separator or name.endswith(".py") or "/" in name:
        return target, _FACTORY
    return source, name or _FACTORY


def _load_file(path: Path, source: str) -> ModuleType:
    loaded = sys.modules.get(path.stem)
    if loaded is not None and getattr(loaded, "__file__", None) == str(path):
        return loaded
    name = path.stem
    while name in sys.modules:
        name += "_"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise TargetError(f"{source} is no Python file")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses, for one, look up their module by its name.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _failure(f"{source} cannot be loaded", error) from error
    return module


def _load_module(source: str) -> ModuleType:
    try:
        return importlib.import_module(source)
    except (Exception, SystemExit) as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{source}.".startswith(f"{missing}."):
            raise TargetError(f"there is no module {source}") from error
        raise _failure(f"{source} cannot be loaded", error) from error


def _failure(what: str, error: BaseException) -> TargetError:
    return TargetError(f"{what}: {' '.join(describe(error).split())}")


def _check_made(made: Any, origin: str) -> list[IPyDriver]:
    if inspect.iscoroutine(made):
        made.close()
        raise TargetError(f"{origin} is an async function: write it without async")
    drivers = list(made) if isinstance(made, (list, tuple)) else [made]
    if not drivers:
        raise TargetError(f"{origin} makes no driver")
    for driver in drivers:
        if not isinstance(driver, IPyDriver):
            raise TargetError(f"{origin} makes no IPyDriver but {type(driver).__name__}")
        try:
            len(driver)
        except ConfigurationError as error:
            raise _failure(f"{origin} makes no driver", error) from error
    return drivers
