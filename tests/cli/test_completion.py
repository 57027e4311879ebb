"""Completion in the shells: commands, options, and what a server has."""

from __future__ import annotations

import contextlib
import itertools
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import trio
from click.testing import CliRunner

from tests.kit.cli import Script, at, lines, refusal
from tests.kit.processes import DEADLINE, ENVIRONMENT, free_port
from trindi.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.kit.cli import Background, Served

SHELLS = ["bash", "zsh", "fish"]
TEXT = (
    b"<defTextVector device='D' name='v' state='Ok' perm='rw'>"
    b"<defText name='t'>one</defText></defTextVector>"
)


def complete(shell: str, *words: str) -> list[str]:
    """What is offered for the last word."""
    line = " ".join(["trindi", *words])
    environment = {
        "_TRINDI_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": words[-1] if shell == "fish" else str(len(words)),
    }
    if shell == "bash":
        environment |= as_bash_does(line, ["trindi", *words])
    result = CliRunner().invoke(main, env=environment, prog_name="trindi")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    if shell == "zsh":
        return result.stdout.splitlines()[1::3]
    found = result.stdout.splitlines()
    return [line.partition(",")[2].partition("\t")[0] for line in found if line]


def as_bash_does(line: str, words: list[str]) -> dict[str, str]:
    """One piece a line, of words that are taken apart at = and :, but where they are quoted."""
    pieces: list[str] = []
    for word in words:
        quoted = word[:1] in {"'", '"'}
        pieces += [word] if quoted else [one for one in re.split("([=:]+)", word) if one]
    pieces += [""] if line.endswith(" ") else []
    return {
        "COMP_LINE": line,
        "COMP_WORDS": "\n".join(pieces),
        "COMP_CWORD": str(len(pieces) - 1),
    }


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


# bash replaces only what is behind the sign, unless the word is quoted.
BEHIND_THE_SIGN = [("bash", "Bench.mode.slow="), ("zsh", ""), ("fish", "")]


@pytest.mark.parametrize(("shell", "typed"), BEHIND_THE_SIGN)
def test_switches_are_on_or_off(shell: str, typed: str, served: Served) -> None:
    every = [f"Bench.mode.slow={state}".removeprefix(typed) for state in ("On", "Off")]
    assert complete(shell, "set", *at(served), "Bench.mode.slow=") == every
    assert complete(shell, "set", *at(served), "Bench.mode.slow=O") == every
    assert complete(shell, "set", *at(served), "Bench.mode.slow=Of") == every[1:]
    assert complete(shell, "set", *at(served), "Bench.note.a=x", "Bench.mode.slow=Of") == every[1:]


@pytest.mark.parametrize("place", ["Bench.target.x", "Bench.note.a", "Bench.upload.file", "No.b.c"])
def test_what_may_be_anything_is_not_completed(place: str, served: Served) -> None:
    assert complete("zsh", "set", *at(served), f"{place}=") == []
    assert complete("bash", "set", *at(served), f"{place}=O") == []


def test_attributes_are_there_for_who_begins_one(served: Served) -> None:
    assert complete("zsh", "get", *at(served), "Bench.target.") == [
        "Bench.target.x",
        "Bench.target.free",
    ]
    assert complete("zsh", "get", *at(served), "Bench.target._") == [
        f"Bench.target.{name}"
        for name in ("_LABEL", "_GROUP", "_STATE", "_PERM", "_TO", "_TS", "_RULE")
    ]
    assert complete("zsh", "get", *at(served), "Bench.frame.") == []
    assert complete("zsh", "get", *at(served), "Bench.frame._S") == ["Bench.frame._STATE"]


@pytest.mark.parametrize("shell", SHELLS)
def test_addresses_in_conditions(shell: str, served: Served) -> None:
    before = 'Bench.note.a == "x y" and '
    (found,) = complete(shell, "wait", *at(served), f"'{before}Bench.seri")
    assert found == f"{before}Bench.serial.number"
    assert complete(shell, "wait", *at(served), f"'{before}Bench.frame.i") == []
    (found,) = complete(shell, "wait", *at(served), f"'{before}Bench.frame._STA")
    assert found == f"{before}Bench.frame._STATE"


@pytest.mark.parametrize(
    "before",
    ["", "not (", "A.b.c > 1 or 1<", '"My Shop".task.n >= ', "A.b.c>1 and not(", "'a b' < "],
)
def test_what_stands_before_does_not_matter(before: str, served: Served) -> None:
    typed = f"{before}Bench.seri".replace('"', '\\"')
    (found,) = complete("fish", "wait", *at(served), f'"{typed}')
    assert found == f"{before}Bench.serial.number"


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("'My", '"My Shop".task.n'),
        ("'\"My", '"My Shop".task.n'),
        ('\'"My Shop".ta', '"My Shop".task.n'),
        ("'1 < \"My Sh", '1 < "My Shop".task.n'),
        ("'1 <\"My Sh", '1 <"My Shop".task.n'),
        ("\"'My Sh", "'My Shop'.task.n"),
    ],
)
def test_names_with_blanks_are_quoted_in_conditions(
    served: Served, typed: str, offered: str
) -> None:
    assert complete("zsh", "wait", *at(served), typed)[0] == offered


def test_names_with_quotes_are_quoted_in_conditions(script: Callable[..., Script]) -> None:
    server = script(TEXT.replace(b"'D'", b"'6&quot; Newton'"))
    assert complete("zsh", "wait", *at(server), "6") == ["'6\" Newton'.v.t"]


def test_bash_is_told_of_quotes_in_quotes(served: Served) -> None:
    assert complete("bash", "wait", *at(served), '"My')[0] == r'\\"My Shop\\".task.n'
    assert complete("bash", "wait", *at(served), "'My")[0] == '"My Shop".task.n'
    assert complete("bash", "wait", *at(served), "My")[0] == r'\\"My\\ Shop\\".task.n'


def test_bash_takes_names_apart(script: Callable[..., Script]) -> None:
    server = script(TEXT.replace(b"'D'", b"'A:B'"))
    assert complete("bash", "get", *at(server), "A:") == ["B.v.t"]
    assert complete("bash", "get", *at(server), "A:B.") == ["B.v.t"]
    assert complete("bash", "get", *at(server), "'A:B.") == ["A:B.v.t"]
    assert complete("zsh", "get", *at(server), "A:B.") == ["A:B.v.t"]


def test_bash_with_the_cursor_in_a_word(served: Served) -> None:
    line = " ".join(["trindi", "get", *at(served), "Bench.serial"])
    environment = as_bash_does(line[:-3], ["trindi", "get", *at(served), "Bench.serial"])
    environment["_TRINDI_COMPLETE"] = "bash_complete"
    result = CliRunner().invoke(main, env=environment, prog_name="trindi")
    assert result.stdout == "plain,Bench.serial.number\n"


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


class Dripping(Script):
    """A server that always has one property more."""

    async def _talk(self, stream: trio.SocketStream) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            for number in itertools.count():
                await stream.send_all(self._said.replace(b"'v'", b"'v%d'" % number))
                await trio.sleep(0.05)


def test_a_server_that_never_comes_to_an_end(started: list[Background]) -> None:
    started.append(Dripping(TEXT))
    assert "D.v0.t" in complete("zsh", "get", *at(started[0]), "D")


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
        reply() {{ COMPREPLY=(); _trindi_complete trindi; printf '%s\\n' "${{COMPREPLY[@]}}"; }}
        COMP_WORDS=(trindi set {" ".join(at(served))} 'My\\ Shop.ta'); COMP_CWORD=6
        COMP_LINE="${{COMP_WORDS[*]}}and more"; COMP_POINT=$((${{#COMP_LINE}} - 8))
        reply
        COMP_WORDS=(trindi set {" ".join(at(served))} Bench.mode.slow = O); COMP_CWORD=8
        COMP_LINE='trindi set {" ".join(at(served))} Bench.mode.slow=O'; COMP_POINT=${{#COMP_LINE}}
        reply
        complete -p trindi
    """
    assert run("bash", "--norc", "-c", script).splitlines() == [
        "compopt -o nospace ",
        r"My\ Shop.task.n=",
        "On",
        "Off",
        "complete -o nosort -F _trindi_complete trindi",
    ]


@pytest.mark.parametrize("words", ["serve dr", "check dr", "check dr -- s", "record n", "replay n"])
def test_bash_lists_files_where_a_file_is_named(run: Callable[..., str], words: str) -> None:
    script = f"""
        eval "$(trindi completion bash)"
        compopt() {{ printf '%s ' compopt "$@"; echo; }}
        COMP_WORDS=(trindi {words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        COMP_LINE="${{COMP_WORDS[*]}}"; COMP_POINT=${{#COMP_LINE}}
        _trindi_complete trindi; printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    assert run("bash", "--norc", "-c", script).split() == ["compopt", "-o", "default"]


def test_zsh(run: Callable[..., str], served: Served) -> None:
    script = f"""
        compdef() {{ : }}
        compadd() {{ echo "compadd ${{(q)@}}: ${{(F)completions}}" }}
        eval "$(trindi completion zsh)"
        words=(trindi set {" ".join(at(served))} 'Bench.mode.s'); CURRENT=7
        _trindi_completion
        words=(trindi get {" ".join(at(served))} 'Bench.mode.s'); CURRENT=7
        _trindi_completion
    """
    assert run("zsh", "-f", "-c", script).splitlines() == [
        "compadd -U -V unsorted -S '' -a completions: Bench.mode.slow=",
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
