"""What `trindi serve` takes as a target, and the one line that it says of each mistake."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.kit.processes import EXAMPLES
from trindi.cli.targets import TargetError, load_drivers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DRIVER = """
from trindi import Device, IPyDriver, TextMember, TextVector

def driver(name):
    return IPyDriver([Device(name, [TextVector("T", textmembers=[TextMember("t")])])])
"""
GOOD = f"""{DRIVER}
def make_driver():
    return driver("Good")

def make_two():
    return [driver("One"), driver("Two")]
"""


@pytest.fixture(autouse=True)
def _imports_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", sys.path.copy())
    before = sys.modules.copy()
    yield
    for name in sys.modules.keys() - before.keys():
        del sys.modules[name]


def write(directory: Path, name: str, text: str) -> str:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def devices(target: str) -> list[str]:
    return [name for driver in load_drivers(target) for name in driver]


def complaint(target: str) -> str:
    with pytest.raises(TargetError) as caught:
        load_drivers(target)
    line = str(caught.value)
    assert "\n" not in line
    return line


# What is taken -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "expected"),
    [("", ["Good"]), (":", ["Good"]), (":make_driver", ["Good"]), (":make_two", ["One", "Two"])],
)
def test_a_file_with_and_without_a_factory(
    tmp_path: Path, suffix: str, expected: list[str]
) -> None:
    assert devices(write(tmp_path, "good.py", GOOD) + suffix) == expected


def test_a_file_in_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "good.py", GOOD)
    monkeypatch.chdir(tmp_path)
    assert devices("good.py") == ["Good"]
    assert devices("./good.py:make_two") == ["One", "Two"]


def test_a_colon_in_a_directory_is_no_factory(tmp_path: Path) -> None:
    assert devices(write(tmp_path, "a:b/good.py", GOOD)) == ["Good"]


@pytest.mark.parametrize("target", ["instruments.good", "instruments.good:make_driver"])
def test_a_module_of_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    write(tmp_path, "instruments/__init__.py", "")
    write(tmp_path, "instruments/good.py", GOOD)
    monkeypatch.chdir(tmp_path)
    assert devices(target) == ["Good"]


def test_a_file_imports_what_stands_beside_it(tmp_path: Path) -> None:
    write(tmp_path, "helper_beside.py", DRIVER)
    text = "import helper_beside\ndef make_driver(): return helper_beside.driver('Helped')"
    assert devices(write(tmp_path, "user.py", text)) == ["Helped"]


HELPED = "import helper\ndef make_driver(): return helper.driver('Helped by ' + helper.NAME)"
LATER = "def make_driver():\n    import helper\n    return helper.driver(helper.NAME)"


@pytest.mark.parametrize("text", [HELPED, LATER], ids=["at once", "in the factory"])
def test_two_that_import_a_helper_of_their_own_are_told_so(tmp_path: Path, text: str) -> None:
    """The second would get that of the first, now or when a handler imports it."""
    first, second = (write(tmp_path, f"{name}/{name}.py", text) for name in ("one", "two"))
    for name in ("one", "two"):
        write(tmp_path, f"{name}/helper.py", f"{DRIVER}\nNAME = '{name}'")
    assert devices(first) == ["Helped by one" if text is HELPED else "one"]
    helper = sys.modules["helper"]
    assert complaint(second) == (
        f"{second} imports {tmp_path}/two/helper.py, and another target imports "
        f"{tmp_path}/one/helper.py: give one of them another name"
    )
    assert sys.modules["helper"] is helper


def test_a_package_is_a_helper_too(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path, f"{name}/helper/__init__.py", "")
        write(tmp_path, f"{name}/helper/drivers.py", f"{DRIVER}\nNAME = '{name}'")
    text = HELPED.replace("import helper", "from helper import drivers as helper")
    first, second = (write(tmp_path, f"{name}/{name}.py", text) for name in ("one", "two"))
    assert devices(first) == ["Helped by one"]
    assert "give one of them another name" in complaint(second)


def test_a_helper_that_is_not_imported_is_no_matter(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path, f"{name}/helper.py", f"{DRIVER}\nNAME = '{name}'")
    assert devices(write(tmp_path, "one/one.py", HELPED)) == ["Helped by one"]
    assert devices(write(tmp_path, "two/two.py", GOOD)) == ["Good"]
    assert devices(write(tmp_path, "one/three.py", HELPED)) == ["Helped by one"]


def test_a_file_and_a_module_with_a_helper_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        write(tmp_path, f"{name}/helper.py", f"{DRIVER}\nNAME = '{name}'")
    first = write(tmp_path, "one/one.py", HELPED)
    write(tmp_path, "two/module_of_two.py", HELPED)
    monkeypatch.chdir(tmp_path / "two")
    assert devices(first) == ["Helped by one"]
    assert "two/helper.py, and another target imports" in complaint("module_of_two")


def test_one_that_has_not_called_the_init_of_its_base(tmp_path: Path) -> None:
    text = f"""{DRIVER}
class Heater(IPyDriver):
    def __init__(self):
        self.port = "/dev/ttyUSB0"

def make_driver():
    return Heater()
"""
    reason = "Heater.__init__ has not called super().__init__(…): call it first"
    assert reason in complaint(write(tmp_path, "forgetful.py", text))


def test_two_drivers_are_two() -> None:
    assert devices(str(EXAMPLES / "two_drivers.py")) == ["Thermostat", "Window"]


def test_files_of_one_name_are_modules_of_their_own(tmp_path: Path) -> None:
    text = f"""from __future__ import annotations
from dataclasses import dataclass, fields
from typing import get_type_hints
{DRIVER}
class Kind:
    name = "NAME"

@dataclass
class Settings:
    kind: Kind

def make_driver():
    return driver(get_type_hints(Settings)["kind"].name)
"""
    first = write(tmp_path, "first/same.py", text.replace("NAME", "First"))
    second = write(tmp_path, "second/same.py", text.replace("NAME", "Second"))
    assert devices(first) == ["First"]
    assert devices(second) == ["Second"]
    assert devices(first) == ["First"]


def test_a_file_with_the_name_of_another_module_leaves_that_alone(tmp_path: Path) -> None:
    import json

    assert devices(write(tmp_path, "json.py", GOOD)) == ["Good"]
    assert sys.modules["json"] is json


def test_a_file_is_not_run_again_where_it_is_imported_already(tmp_path: Path) -> None:
    write(tmp_path, "counted.py", f"{GOOD}\nprint('run')\nRUNS = object()")
    write(tmp_path, "importer.py", "import counted\nfrom counted import make_driver")
    assert devices(str(tmp_path / "importer.py")) == ["Good"]
    runs = sys.modules["counted"].RUNS
    assert devices(str(tmp_path / "counted.py")) == ["Good"]
    assert sys.modules["counted"].RUNS is runs


# What is refused ---------------------------------------------------------------------------------


def test_no_such_file(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.py")
    assert complaint(missing) == f"there is no file {missing}"
    assert complaint(f"{tmp_path}/") == f"there is no file {tmp_path}/"


def test_no_python_file(tmp_path: Path) -> None:
    target = write(tmp_path, "notes.txt", "some notes")
    assert complaint(target) == f"{target} is no Python file"


@pytest.mark.parametrize("target", ["no_such_module", "no_such.module", "trindi.no_such:thing"])
def test_no_such_module(target: str) -> None:
    assert complaint(target) == f"there is no module {target.partition(':')[0]}"


def test_an_empty_or_relative_module() -> None:
    assert "cannot be loaded" in complaint(":make_driver")
    assert "cannot be loaded" in complaint("..driver")


def test_no_factory(tmp_path: Path) -> None:
    target = write(tmp_path, "empty.py", "make_driver = 'not callable'")
    assert complaint(target) == f"{target} has no function make_driver"
    assert complaint(f"{target}:other") == f"{target} has no function other"
    assert complaint("trindi:make_driver") == "trindi has no function make_driver"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def (:", "SyntaxError: invalid syntax"),
        ("raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
        ("raise RuntimeError", "RuntimeError"),
        ("raise SystemExit(0)", "SystemExit: 0"),
    ],
)
def test_a_file_or_module_that_cannot_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, reason: str
) -> None:
    target = write(tmp_path, "broken_target.py", text)
    assert complaint(target).startswith(f"{target} cannot be loaded: {reason}")
    assert "broken_target" not in sys.modules
    monkeypatch.chdir(tmp_path)
    assert complaint("broken_target").startswith(f"broken_target cannot be loaded: {reason}")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise ValueError('no camera')", "has failed: ValueError: no camera"),
        ("import sys; sys.exit('no camera')", "has failed: SystemExit: no camera"),
        ("return None", "makes no IPyDriver but NoneType"),
        ("return [None]", "makes no IPyDriver but NoneType"),
        ("return []", "makes no driver"),
    ],
)
def test_a_factory_that_makes_no_driver(tmp_path: Path, body: str, reason: str) -> None:
    target = write(tmp_path, "factory.py", f"def make_driver(): {body}")
    assert complaint(target) == f"make_driver of {target} {reason}"


def test_a_factory_that_wants_arguments(tmp_path: Path) -> None:
    target = write(tmp_path, "greedy.py", "def make_driver(port): ...")
    assert "missing 1 required positional argument: 'port'" in complaint(target)


def test_a_factory_that_is_async(tmp_path: Path) -> None:
    target = write(tmp_path, "eager.py", "async def make_driver(): ...")
    assert complaint(target) == (
        f"make_driver of {target} is an async function: write it without async"
    )
