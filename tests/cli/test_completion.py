"""Completion in the shells: commands, options, and what a server has."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from tests.support_cli import at, lines, refusal
from tests.support_processes import DEADLINE, ENVIRONMENT, free_port
from trindi.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support_cli import Script, Served

SHELLS = ["bash", "zsh", "fish"]


def complete(shell: str, *words: str) -> list[str]:
    """What is offered for the last word."""
    # As the scripts do: bash one word a line, the others a line of words.
    separator = "\n" if shell == "bash" else " "
    environment = {
        "_TRINDI_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": separator.join(["trindi", *words]),
        "COMP_CWORD": words[-1] if shell == "fish" else str(len(words)),
    }
    result = CliRunner().invoke(main, env=environment, prog_name="trindi")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    if shell == "zsh":
        return result.stdout.splitlines()[1::3]
    found = result.stdout.splitlines()
    return [line.partition(",")[2].partition("\t")[0] for line in found if line]


@pytest.mark.parametrize("shell", SHELLS)
def test_commands_and_options(shell: str) -> None:
    assert complete(shell, "sa") == ["save-blobs"]
    assert set(complete(shell, "w")) == {"watch", "wait"}
    assert complete(shell, "set", "--wa") == ["--wait"]


@pytest.mark.parametrize("shell", SHELLS)
def test_members(shell: str, served: Served) -> None:
    assert complete(shell, "get", *at(served), "Bench.tar") == [
        "Bench.target.x",
        "Bench.target.free",
    ]
    assert complete(shell, "watch", *at(served), "Bench.serial.n") == ["Bench.serial.number"]


@pytest.mark.parametrize("shell", SHELLS)
def test_only_what_can_be_set(shell: str, served: Served) -> None:
    assert complete(shell, "set", *at(served), "Bench.mode") == [
        "Bench.mode.slow=",
        "Bench.mode.fast=",
    ]
    assert complete(shell, "set", *at(served), "Bench.count") == []


def test_only_what_has_blobs(served: Served) -> None:
    found = complete("zsh", "save-blobs", *at(served), "Bench.f")
    assert found == ["Bench.frame"]
    assert complete("zsh", "save-blobs", *at(served), "Bench.m") == []


def test_devices(served: Served) -> None:
    assert complete("zsh", "record", *at(served), "x.jsonl", "Be") == ["Bench"]


def test_names_with_blanks(served: Served) -> None:
    # Each shell writes them as it has to; bash must be told, and reads backslashes once by itself.
    assert complete("zsh", "get", *at(served), "My") == [
        "My Shop.task.n",
        "My Shop.CONNECTION.CONNECT",
        "My Shop.CONNECTION.DISCONNECT",
        "My Shop.bell.press",
    ]
    assert complete("bash", "get", *at(served), "My\\ Shop.t") == [r"My\\ Shop.task.n"]
    assert complete("bash", "get", *at(served), "'My Shop.t") == ["My Shop.task.n"]


def test_nothing_is_said_where_nobody_answers(script: Callable[..., Script]) -> None:
    assert complete("bash", "get", "-p", str(free_port()), "B") == []
    assert complete("bash", "get", "--host", "a..b", "B") == []
    assert complete("bash", "get", *at(script(b"", stays=0)), "B") == []


def test_a_server_that_says_nothing_is_not_waited_for(script: Callable[..., Script]) -> None:
    assert complete("bash", "get", *at(script(b"")), "B") == []


def test_no_other_shells() -> None:
    assert "'csh'" in refusal("completion", "csh", status=2)


# In the shells themselves ------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., str]:
    """Run a shell that has a `trindi`."""
    program = tmp_path / "trindi"
    program.write_text(f"#!{sys.executable}\nfrom trindi.cli import main\nmain()\n")
    program.chmod(0o755)
    path = f"{tmp_path}:{ENVIRONMENT['PATH']}"

    def run_shell(*words: str) -> str:
        found = shutil.which(words[0])
        if found is None:
            pytest.skip(f"{words[0]} is not installed")
        done = subprocess.run(
            [found, *words[1:]],
            env=ENVIRONMENT | {"PATH": path, "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=2 * DEADLINE,
            check=False,
        )
        assert done.stderr == ""
        return done.stdout

    return run_shell


def test_bash(run: Callable[..., str], served: Served) -> None:
    script = f"""
        eval "$(trindi completion bash)"
        compopt() {{ printf '%s ' compopt "$@"; echo; }}
        COMP_WORDS=(trindi set {" ".join(at(served))} 'My\\ Shop.ta'); COMP_CWORD=6
        _trindi_completion trindi
        printf '%s\\n' "${{COMPREPLY[@]}}"
        complete -p trindi
    """
    assert run("bash", "--norc", "-c", script).splitlines() == [
        "compopt -o nospace ",
        r"My\ Shop.task.n=",
        "complete -o nosort -F _trindi_completion trindi",
    ]


def test_zsh(run: Callable[..., str], served: Served) -> None:
    script = f"""
        compdef() {{ : }}
        compadd() {{ echo "compadd $*: ${{(F)completions}}" }}
        eval "$(trindi completion zsh)"
        words=(trindi set {" ".join(at(served))} 'Bench.mode.s'); CURRENT=7
        _trindi_completion
        words=(trindi get {" ".join(at(served))} 'Bench.mode.s'); CURRENT=7
        _trindi_completion
    """
    assert run("zsh", "-f", "-c", script).splitlines() == [
        "compadd -U -V unsorted -S  -a completions: Bench.mode.slow=",
        "compadd -U -V unsorted -a completions: Bench.mode.slow",
    ]


def test_fish(run: Callable[..., str], served: Served) -> None:
    line = " ".join(["trindi", "get", *at(served), "Bench.tar"])
    script = f"trindi completion fish | source; complete --do-complete '{line}'"
    assert run("fish", "--no-config", "-c", script).splitlines() == [
        "Bench.target.free",
        "Bench.target.x",
    ]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_that_of_trindi(shell: str) -> None:
    assert any("_TRINDI_COMPLETE" in line for line in lines("completion", shell))
