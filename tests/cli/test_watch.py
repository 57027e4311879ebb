"""`trindi watch`: a table in a terminal, which keys change, and lines elsewhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

import click
import pytest

from tests.kit.cli import Served, Shop, at, refusal, trindi
from tests.kit.client import joined, numbers, report
from tests.kit.processes import DEADLINE, ENVIRONMENT, ROOT, run_python, wait_until
from tests.kit.terminal import SCREEN_OFF, SCREEN_ON, Terminal, line_with
from trindi.cli import main
from trindi.cli.addresses import EVERYTHING, parse_pattern
from trindi.cli.table import Table
from trindi.cli.watch import run_watch
from trindi.protocol import NO_READING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trio.testing import MockClock

    from tests.kit.cli import Script

UP, DOWN, PAGE_UP, PAGE_DOWN = "\x1b[A", "\x1b[B", "\x1b[5~", "\x1b[6~"
HOME, END, ESCAPE = "\x1b[H", "\x1b[F", "\x1b"


class Session:
    """The command in this process, with a terminal in the place of its own, and its user beside."""

    def __init__(self, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.terminal = terminal
        self.status: Any = None

    def run(self, *arguments: str, stdin: bool = True, term: str = "xterm-256color") -> None:
        """Run until it ends."""
        self._monkeypatch.setenv("TERM", term)
        if stdin:
            self._monkeypatch.setattr(sys, "stdin", self.terminal.open("r"))
        self._monkeypatch.setattr(sys, "stdout", self.terminal.open("w"))
        self._monkeypatch.setattr(sys, "stderr", self.terminal.open("w"))
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        self.status = ended.value.code


@pytest.fixture
def session(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Session:
    return Session(terminal, monkeypatch)


@pytest.fixture
def user(
    terminal: Terminal, beside: Callable[..., None]
) -> Iterator[Callable[[Callable[[], object]], None]]:
    """Let a user do something beside the command, who quits in the end."""
    failures: list[BaseException] = []

    def start(work: Callable[[], object]) -> None:
        def use() -> None:
            try:
                work()
            except BaseException as error:
                failures.append(error)
            finally:
                terminal.press(ESCAPE)
                terminal.wait(lambda lines: "quit" in lines[-1], "the filter is left")
                terminal.press("q")

        beside(use)

    yield start
    for failure in failures:
        raise failure


# The table ---------------------------------------------------------------------------------------


def test_the_table_has_all_there_is(
    served: Served, session: Session, user: Callable[..., None]
) -> None:
    terminal = session.terminal
    terminal.resize(80, 30)
    shown: list[str] = []
    user(lambda: shown.extend(terminal.wait_for("bell.press")))
    session.run("watch", *at(served))
    assert session.status == 0
    wait_until(lambda: terminal.is_restored, "the terminal is as before")
    assert SCREEN_ON in terminal.said
    assert shown[0].startswith(f" 127.0.0.1:{served.port}   lines 1-25 of 25")
    heads = ["PROPERTY", "VALUE", "TREND", "STATE", "TIME", "UTC"]
    assert shown[1].split() == heads
    assert shown.index("Bench") < shown.index("My Shop") < shown.index(" Main")
    rows = {line.split()[0]: line.split()[1:] for line in shown if line.startswith("  ")}
    assert rows["count.n"][:4] == ["0", "▁", "●", "Ok"]
    # Of several members each has a line, below that of their property.
    assert rows["target"][:2] == ["●", "Ok"]
    assert rows["free"] == ["1", "▁"]
    assert rows["slow"] == ["On"]
    assert rows["lamp.power"][:3] == ["Ok", "●", "Ok"]
    assert rows["frame.image"][:2] == ["●", "Ok"]
    assert len(shown) == 30


def test_values_states_trends_and_messages_change(
    served: Served, session: Session, user: Callable[..., None]
) -> None:
    terminal = session.terminal
    terminal.resize(80, 30)

    def use() -> None:
        terminal.wait_for("count.n")
        served.call(served.bench.count, 8)
        terminal.wait(lambda lines: "8  ▁▂▃▄▅▅▆▇█ " in line_with(lines, "count.n"), "a trend")
        run_python("-m", "trindi", "set", *at(served), "My Shop.task.n=-3")
        lines = terminal.wait(
            lambda lines: "● Alert" in line_with(lines, "task.n") and "quit" in lines[-1],
            "an alert",
        )
        assert line_with(lines, "task.n").split()[1] == "-3.00"
        assert line_with(lines, "out of wood")[9:] == "My Shop: [ERROR] out of wood"
        run_python("-m", "trindi", "set", *at(served), "My Shop.CONNECTION.CONNECT=On")
        terminal.wait_for("late.t")
        # Bold red, for the alert.
        assert "\x1b[1;31m● Alert" in terminal.said

    user(use)
    session.run("watch", *at(served))
    assert session.status == 0


def test_a_pattern_chooses(served: Served, session: Session, user: Callable[..., None]) -> None:
    shown: list[str] = []
    user(lambda: shown.extend(session.terminal.wait_for("target.x")))
    session.run("watch", *at(served), "*.t*.x")
    rows = [line.split()[0] for line in shown[2:-1] if line]
    assert rows == ["Bench", "Main", "target.x"]


def test_keys_filter(served: Served, session: Session, user: Callable[..., None]) -> None:
    terminal = session.terminal

    def names(lines: list[str]) -> list[str]:
        return [line.split()[0] for line in lines[2:-1] if line.startswith("  ")]

    def use() -> None:
        terminal.wait_for("count.n")
        terminal.press("/")
        terminal.wait_for("/█")
        # q is a letter like any other here.
        terminal.press("TARqé\x7f\x7f")
        terminal.wait(
            lambda lines: names(lines) == ["target", "x", "free"] and lines[-1].startswith("/TAR█"),
            "two are left",
        )
        terminal.press("\r")
        terminal.wait_for("only 'TAR'")
        terminal.press("/nothing of the kind\n")
        terminal.wait_for("nothing to show yet")
        terminal.press(ESCAPE)
        terminal.wait(lambda lines: len(names(lines)) > 10, "all are there again")
        # By state, by label, by device.
        for text, found in (("Alert", []), ("Number", ["serial.number", "task.n"]), ("my shop", 5)):
            terminal.press(f"/{text}\r")
            # The last line is drawn last: all lines are those of the filter.
            left = names(terminal.wait_for(f"only '{text}'"))
            assert left == found or len(left) == found
        # These are no letters.
        terminal.press(f"/x\x1b[2~{UP}")
        terminal.wait_for("/x█")

    terminal.resize(80, 30)
    user(use)
    session.run("watch", *at(served))
    assert session.status == 0


def test_keys_scroll(served: Served, session: Session, user: Callable[..., None]) -> None:
    terminal = session.terminal
    terminal.resize(80, 10)

    def use() -> None:
        for keys, first in (
            ("", 1),
            (DOWN, 2),
            ("j", 3),
            (UP, 2),
            ("k", 1),
            (UP, 1),
            (PAGE_DOWN, 8),
            (" ", 15),
            (END, 19),
            (PAGE_UP, 12),
            ("b", 5),
            ("G", 19),
            ("g", 1),
            ("\x1bOF", 19),
            ("\x1b[1~", 1),
            (END, 19),
            (HOME, 1),
            ("x\x1b[Z", 1),
        ):
            terminal.press(keys)
            terminal.wait_for(f"lines {first}-{first + 6} ")

    user(use)
    session.run("watch", *at(served))
    assert session.status == 0


def test_headings_that_are_scrolled_away_stand_above(
    served: Served, session: Session, user: Callable[..., None]
) -> None:
    terminal = session.terminal
    terminal.resize(80, 8)

    def use() -> None:
        terminal.wait_for("count.n")
        terminal.press(4 * DOWN)
        terminal.wait_for("lines 5-9 of 25   Bench / Main Control / target")
        terminal.press(DOWN)
        # What is scrolled away besides is nobody's heading.
        terminal.wait_for("lines 6-10 of 25   Bench / Main Control / target")
        terminal.press(DOWN)
        lines = terminal.wait_for("lines 7-11 of 25   Bench / Main Control")
        assert lines[0].endswith("Bench / Main Control")
        terminal.press(UP)
        terminal.wait_for("lines 6-10 ")
        terminal.resize(54, 8)
        os.kill(os.getpid(), signal.SIGWINCH)
        # The group goes first.
        terminal.wait(lambda lines: lines[0].endswith("   Bench / target"), "it is shorter")
        terminal.resize(46, 8)
        os.kill(os.getpid(), signal.SIGWINCH)
        terminal.wait(lambda lines: "…" in lines[0], "it is cut")

    user(use)
    session.run("watch", *at(served))
    assert session.status == 0


@pytest.mark.parametrize(
    ("width", "height"), [(30, 5), (60, 7), (200, 60), (10, 1), (1, 3), (0, 0)]
)
def test_it_fits_into_any_window(
    served: Served, session: Session, user: Callable[..., None], width: int, height: int
) -> None:
    terminal = session.terminal
    seen: list[list[str]] = []

    def use() -> None:
        terminal.wait_for("count.n")
        terminal.resize(width, height)
        before = len(terminal.said)
        os.kill(os.getpid(), signal.SIGWINCH)
        wait_until(lambda: len(terminal.said) > before, "it is drawn again")
        if height:
            seen.append(terminal.wait(lambda lines: len(lines) == height, "it has that height"))
        terminal.resize(80, 24)
        os.kill(os.getpid(), signal.SIGWINCH)
        terminal.wait(lambda lines: len(lines) == 24, "it is large again")

    user(use)
    session.run("watch", *at(served))
    for lines in seen:
        assert max(map(len, lines)) <= width
    assert session.status == 0


def test_what_a_device_says_does_nothing_to_the_terminal(
    script: Callable[..., Script], session: Session, user: Callable[..., None]
) -> None:
    server = script(
        "<defTextVector device='D\u009b2J' name='v' state='Ok' perm='rw' message='a\u0085b'>"
        "<defText name='t'>\u009b31mred\nline \u202e</defText></defTextVector>".encode()
    )
    user(lambda: session.terminal.wait_for("v.t"))
    session.run("watch", *at(server))
    assert not {"\u009b", "\u0085", "\u202e"} & set(session.terminal.said)
    assert r"\x9b31mred\nline \u202e" in session.terminal.said


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("D.value.t", []),
        ("D.value._STATE", []),
        ("D.valu", ["So far there is no D.valu (did you mean D.value?); still waiting"]),
        ("E", ["So far there is no E; still waiting"]),
    ],
)
def test_what_is_not_there_is_named(
    script: Callable[..., Script],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    pattern: str,
    said: list[str],
) -> None:
    monkeypatch.setattr("trindi.cli.watch._NOTICE_AFTER", 0.3)
    definition = (
        b"<defTextVector device='D' name='value' state='Ok' perm='rw'><defText name='t'>x"
        b"</defText></defTextVector>"
    )
    server = script(definition, stays=2)
    with pytest.raises(click.ClickException):
        run_watch("127.0.0.1", server.port, parse_pattern(pattern), plain=True, as_json=False)
    assert capsys.readouterr().err.splitlines() == said


def test_it_waits_for_a_server_that_has_gone(
    session: Session, started: list[Any], user: Callable[..., None]
) -> None:
    first = Served()
    started.append(first)
    terminal = session.terminal

    def use() -> None:
        terminal.wait_for("count.n")
        first.close()
        terminal.wait_for("not connected, values are old")
        started.append(Served(Shop(), port=first.port))
        terminal.wait(lambda lines: "not connected" not in lines[0], "it is connected again")
        terminal.wait_for("task.n")

    user(use)
    session.run("watch", *at(first))
    assert session.status == 0


def test_deletions(
    script: Callable[..., Script], session: Session, user: Callable[..., None]
) -> None:
    number = (
        b"<defNumberVector device='D' name='%b' state='Ok' perm='ro'>"
        b"<defNumber name='n' format='%%g' min='0' max='0' step='0'>%b</defNumber>"
        b"</defNumberVector>"
    )
    server = script(
        number % (b"a", b"1")
        + number % (b"b", b"1")
        + b"<delProperty device='D' name='a'/>"
        + number % (b"a", b"5")
        + number % (b"b", b"5")
        + b"<setNumberVector device='D' name='none'><oneNumber name='n'>5</oneNumber>"
        + b"</setNumberVector>"
        + b"<message message='the end'/>"
    )
    terminal = session.terminal
    user(lambda: terminal.wait_for("the end"))
    session.run("watch", *at(server))
    # What is deleted begins anew, and what is defined twice does not count twice.
    assert terminal.said.rpartition("a.n")[2].split("●")[0].count("▁") == 1
    assert terminal.said.rpartition("b.n")[2].split("●")[0].count("▁") == 1


def test_without_a_keyboard(served: Served, session: Session, beside: Callable[..., None]) -> None:
    terminal = session.terminal

    def use() -> None:
        terminal.wait_for("count.n")
        os.kill(os.getpid(), signal.SIGINT)

    beside(use)
    session.run("watch", *at(served), stdin=False)
    assert session.status == 130
    wait_until(lambda: terminal.is_restored, "the terminal is as before")
    # What nobody can press is not offered.
    assert "Ctrl-C quits" in terminal.said
    assert "filter" not in terminal.said


def test_with_a_keyboard_that_was_closed_before(
    served: Served,
    session: Session,
    beside: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def use() -> None:
        session.terminal.wait_for("Ctrl-C quits")
        os.kill(os.getpid(), signal.SIGTERM)

    # So Python has it for who was started with <&- in a shell.
    monkeypatch.setattr(sys, "stdin", None)
    beside(use)
    session.run("watch", *at(served), stdin=False)
    assert session.status == 128 + signal.SIGTERM


def test_stopping_gives_the_terminal_back(
    served: Served,
    session: Session,
    user: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = session.terminal
    stops: list[bool] = []
    kill = os.kill

    def stop(pid: int, signum: int) -> None:
        assert (pid, signum) == (os.getpid(), signal.SIGSTOP)
        wait_until(lambda: terminal.said.endswith(SCREEN_OFF), "the screen is given back")
        stops.append(terminal.is_restored)

    def use() -> None:
        terminal.wait_for("count.n")
        monkeypatch.setattr(os, "kill", stop)
        kill(os.getpid(), signal.SIGTSTP)
        wait_until(lambda: terminal.said.count(SCREEN_ON) == 2, "it goes on")
        terminal.wait_for("count.n")

    user(use)
    session.run("watch", *at(served))
    assert stops == [True]
    assert session.status == 0


def test_nobody_listens(session: Session) -> None:
    session.run("watch", "--host", "a..b")
    assert session.status == 1
    assert session.terminal.is_restored
    assert SCREEN_ON not in session.terminal.said


# The same as a program of its own ----------------------------------------------------------------


def test_a_whole_session(served: Served, terminal: Terminal) -> None:
    process = terminal.start("watch", *at(served))
    try:
        terminal.wait_for("count.n")
        terminal.resize(100, 12)
        terminal.wait(lambda lines: len(lines) == 12 and len(lines[0]) > 0, "it has another size")
        terminal.press("/targ\r")
        terminal.wait_for("lines 1-5 of 5")
        terminal.press("\x1a")
        wait_until(lambda: terminal.said.count(SCREEN_OFF) == 1, "Ctrl-Z gives the screen back")
        wait_until(lambda: terminal.is_restored, "and the keys")
        os.kill(process.pid, signal.SIGCONT)
        wait_until(lambda: terminal.said.count(SCREEN_ON) == 2, "it goes on")
        terminal.press("q")
        assert process.wait(DEADLINE) == 0
    finally:
        process.kill()
        process.wait()
    wait_until(lambda: terminal.is_restored, "the terminal is as before")


@pytest.mark.parametrize(("keys", "signum"), [("\x03", 0), ("", signal.SIGTERM)])
def test_ctrl_c_and_sigterm(served: Served, terminal: Terminal, keys: str, signum: int) -> None:
    process = terminal.start("watch", *at(served))
    try:
        terminal.wait_for("count.n")
        if keys:
            terminal.press(keys)
        else:
            process.send_signal(signum)
        assert process.wait(DEADLINE) == 128 + (signum or signal.SIGINT)
    finally:
        process.kill()
        process.wait()
    wait_until(lambda: terminal.is_restored, "the terminal is as before")
    assert "Traceback" not in terminal.said


# Lines -------------------------------------------------------------------------------------------


SAID = (
    b"<defNumberVector device='D' name='v' state='Idle' perm='rw' timeout='0'>"
    b"<defNumber name='a' format='%g' min='0' max='0' step='0'>1.50</defNumber>"
    b"<defNumber name='b' format='%g' min='0' max='0' step='0'>2</defNumber></defNumberVector>"
    b"<setNumberVector device='D' name='v' state='Busy' message='on my way'>"
    b"<oneNumber name='a'>3</oneNumber></setNumberVector>"
    b"<setNumberVector device='D' name='v' state='Busy'><oneNumber name='a'>3</oneNumber>"
    b"</setNumberVector>"
    # Another client has asked.
    b"<defNumberVector device='D' name='v' state='Busy' perm='rw' timeout='0'>"
    b"<defNumber name='a' format='%g' min='0' max='0' step='0'>3</defNumber>"
    b"<defNumber name='b' format='%g' min='0' max='0' step='0'>5</defNumber></defNumberVector>"
    b"<setNumberVector device='D' name='v' state='Ok'/>"
    b"<message device='D' message='done' timestamp='2026-11-23T01:02:03'/>"
    b"<message message='for all'/>"
    b"<message device='E' message='not of interest'/>"
    b"<delProperty device='D' message='bye'/>"
    b"<delProperty device='D'/>"
)


def test_elsewhere_each_change_is_a_line(script: Callable[..., Script]) -> None:
    result = trindi("watch", *at(script(SAID, stays=0)), "D")
    assert result.exit_code == 1
    assert result.stderr == "Error: the server has closed the connection\n"
    assert result.stdout.splitlines() == [
        "D.v.a=1.50",
        "D.v.b=2",
        "D.v.a=3",
        "D.v._STATE=Busy",
        "D: on my way",
        "D.v.a=3",
        "D.v.b=5",
        "D.v._STATE=Ok",
        "D: done",
        "for all",
        "D.v is deleted",
        "D: bye",
    ]


def test_a_member_or_an_attribute_alone(script: Callable[..., Script]) -> None:
    result = trindi("watch", *at(script(SAID, stays=0)), "D.v.a")
    values = [line for line in result.stdout.splitlines() if "=" in line]
    assert values == ["D.v.a=1.50", "D.v.a=3", "D.v.a=3"]
    result = trindi("watch", *at(script(SAID, stays=0)), "*.v._STATE")
    values = [line for line in result.stdout.splitlines() if "=" in line]
    assert values == ["D.v._STATE=Idle", "D.v._STATE=Busy", "D.v._STATE=Ok"]


def test_each_line_is_an_object(script: Callable[..., Script]) -> None:
    result = trindi("watch", *at(script(SAID, stays=0)), "--json", "D.*.a")
    objects = [json.loads(line) for line in result.stdout.splitlines()]
    assert [one["value"] for one in objects if "member" in one] == [1.5, 3, 3]
    assert objects[1]["state"] == "Busy"
    messages = [one for one in objects if "message" in one]
    assert messages[1] == {"device": "D", "message": "done", "timestamp": "2026-11-23T01:02:03"}
    assert {"device": "D", "vector": "v", "deleted": True} in objects


def test_no_reading_is_null(script: Callable[..., Script]) -> None:
    told = (
        b"<setNumberVector device='D' name='v'><oneNumber name='n'>%b</oneNumber></setNumberVector>"
    )
    server = script(
        b"<defNumberVector device='D' name='v' state='Ok' perm='ro'><defNumber name='n' format='%g'"
        b" min='0' max='0' step='0'>1</defNumber></defNumberVector>"
        + told % b"nan"
        + told % b"None"
        + told % b"2",
        stays=0,
    )
    result = trindi("watch", *at(server), "--json", "D.v.n")
    values = [json.loads(line)["value"] for line in result.stdout.splitlines()]
    assert values == [1, None, None, 2]


def test_what_is_said_with_a_definition_is_told_once(script: Callable[..., Script]) -> None:
    text = b"<defTextVector device='D' name='v' state='Ok' perm='rw' message='here'><defText"
    server = script(text + b" name='t'/></defTextVector>", stays=0)
    result = trindi("watch", *at(server), "--json")
    about, message = (json.loads(line) for line in result.stdout.splitlines())
    assert (about["member"], about["perm"]) == ("t", "rw")
    assert message["message"] == "here"
    assert "message" not in about


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("_LABEL", ["D.v._LABEL=V"]),
        ("_GROUP", ["D.v._GROUP=G"]),
        ("_PERM", ["D.v._PERM=rw"]),
        ("_RULE", ["D.v._RULE=AnyOfMany"]),
        ("_STATE", ["D.v._STATE=Idle", "D.v._STATE=Ok"]),
        ("_TO", ["D.v._TO=0", "D.v._TO=5"]),
    ],
)
def test_an_attribute_is_told_where_it_changes(
    script: Callable[..., Script], name: str, printed: list[str]
) -> None:
    server = script(
        b"<defSwitchVector device='D' name='v' label='V' group='G' state='Idle' perm='rw'"
        b" rule='AnyOfMany'><defSwitch name='s'>On</defSwitch></defSwitchVector>"
        b"<setSwitchVector device='D' name='v'><oneSwitch name='s'>Off</oneSwitch>"
        b"</setSwitchVector><setSwitchVector device='D' name='v' state='Ok' timeout='5'/>",
        stays=0,
    )
    result = trindi("watch", *at(server), f"D.v.{name}")
    assert result.stdout.splitlines() == printed


def test_lines_come_at_once(served: Served) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "trindi", "watch", *at(served), "Bench.count.n"],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "Bench.count.n=0\n"
            served.call(served.bench.count, 1)
            assert process.stdout.readline() == "Bench.count.n=1\n"
        finally:
            process.kill()


@pytest.mark.parametrize("arguments", [["--plain"], ["--json"]])
def test_lines_in_a_terminal(
    script: Callable[..., Script], session: Session, arguments: list[str]
) -> None:
    session.run("watch", *at(script(SAID, stays=0)), *arguments)
    assert session.status == 1
    wait_until(lambda: "closed the connection" in session.terminal.said, "it says why")
    assert SCREEN_ON not in session.terminal.said
    assert "for all" in session.terminal.said


def test_a_terminal_that_can_do_nothing(script: Callable[..., Script], session: Session) -> None:
    session.run("watch", *at(script(SAID, stays=0)), term="dumb")
    assert SCREEN_ON not in session.terminal.said


def test_what_is_remembered_is_bounded(
    script: Callable[..., Script], capsys: pytest.CaptureFixture[str]
) -> None:
    port = script(2 * SAID, stays=0).port
    pattern = parse_pattern("D")
    with pytest.raises(click.ClickException, match="has closed the connection"):
        run_watch("127.0.0.1", port, pattern, plain=True, as_json=False, max_known=2)
    assert capsys.readouterr().out.splitlines()[-1] == "D: bye"


def test_wrong_usage() -> None:
    refusal("watch", "a.b.c.d", status=2)
    refusal("watch", "a", "b", status=2)


# What a server may do to the table ---------------------------------------------------------------


async def test_a_report_that_names_anything_costs_nothing(
    autojump_clock: MockClock,
) -> None:
    async with joined(numbers()) as (client, server):
        table = Table(client, EVERYTHING)
        events = client.events()
        for number in range(100):
            await server.send(report(members={f"n{number}-{n}": 1.0 for n in range(100)}))
            table.take(await events.__anext__())
        assert table._history == {("Dev", "target"): {}}
        # And what a property has no longer is forgotten.
        for members in ({"x": 1.0, "z": 2.0}, {"z": 3.0}):
            await server.send(numbers(members))
            table.take(await events.__anext__())
        assert table._history == {("Dev", "target"): {"z": deque([2.0])}}


async def test_a_trend_leaves_out_what_is_no_reading(autojump_clock: MockClock) -> None:
    async with joined(numbers()) as (client, server):
        table = Table(client, EVERYTHING)
        events = client.events()
        for value in (2.0, NO_READING, 3.0):
            await server.send(report(members={"x": value}))
            table.take(await events.__anext__())
        assert table._history["Dev", "target"]["x"] == deque([2.0, 3.0])
        assert client["Dev"]["target"].members["x"].formatted.strip() == "3.00"
        await server.send(report(members={"x": NO_READING}))
        table.take(await events.__anext__())
        assert client["Dev"]["target"].members["x"].formatted.strip() == "nan"
