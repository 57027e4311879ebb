"""The soak in a small form: every scenario runs, and whoever breaks a bound is found out.

What takes time is not judged here, for the machine may be busy: that is for the full run.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import shutil
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.soak import __main__ as soak, beside, thermostat as hours
from benchmarks.soak.complaints import Complaints
from benchmarks.soak.figures import Figure, page, table, write_json
from benchmarks.soak.flood import Bystander, flood
from benchmarks.soak.frames import Frames, encoded
from benchmarks.soak.markup import FLOODS, filled, markup
from benchmarks.soak.pings import pings
from benchmarks.soak.resets import resets
from benchmarks.soak.steady import steady
from benchmarks.soak.thermostat import thermostat
from benchmarks.soak.unpack import unpack
from benchmarks.soak.unread import GoodClient, unread
from benchmarks.soak.vanished import vanished
from tests.kit.processes import DEADLINE
from trindi import setNumberVector
from trindi.protocol import MAX_ELEMENT_BYTES, Decoder
from trindi.server.router import Router

if TYPE_CHECKING:
    from pathlib import Path


def judged(figures: list[Figure]) -> dict[str, bool]:
    """Return what has a bound that is no time, and whether it is kept."""
    return {figure.what: figure.kept for figure in figures if figure.bound and not figure.timed}


# The scenarios ---------------------------------------------------------------------------------


def test_a_client_that_never_reads() -> None:
    figures = unread(0.2, size=10_000, rate=100, good=3)
    assert judged(figures) == {
        "growth of the server's memory at its peak, MiB": True,
        "frames that each good client received whole and in order": True,
        "exceptions and warnings logged": True,
    }
    assert figures[1].value == 20


def test_clients_that_reset() -> None:
    figures = resets(0.3, warm_up=0.3, clients=30, seed=1)
    assert judged(figures) == {
        "connections left": True,
        "tasks left": True,
        "descriptors left": True,
        "blocks of memory left after collection": True,
        "memory left after collection, MiB": True,
        "exceptions and warnings logged": True,
    }
    assert figures[0].value >= 60


def test_a_client_that_floods() -> None:
    figures = flood(0.3)
    assert list(judged(figures).values()) == [True] * 3
    timed = [figure for figure in figures if figure.timed]
    assert [0 < figure.value < float("inf") for figure in timed] == [True] * 3


def test_an_hour_of_the_thermostat() -> None:
    figures = thermostat(1, seed=1)
    assert judged(figures) == {
        "clients that end with the driver's state": True,
        "reports that a client which stayed has missed": True,
        "exceptions logged": True,
    }
    assert figures[2].value > 360


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No indiserver beside ours: half the time."""
    monkeypatch.setattr(beside, "_stock", lambda _measure: {})


def answer(listener: socket.socket, *sent: bytes) -> threading.Thread:
    """Accept a client, answer its ping, and send it these."""

    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            asked = b""
            while b"pingRequest" not in asked:
                asked += peer.recv(4096)
            peer.sendall(b'<pingReply uid="sync"/>\n' + b"".join(sent))

    server = threading.Thread(target=serve)
    server.start()
    return server


COMPLAINTS = "exceptions and warnings logged"


@pytest.mark.usefixtures("alone")
def test_a_client_that_reads_slowly_and_steadily() -> None:
    figures = steady(0.5, size=10_000, rate=20, speed=30_000)
    assert judged(figures) == {
        "read at 0.03 MB/s: the slow client was sent away": True,
        COMPLAINTS: True,
    }
    keeps_up, _wait, slow, *_ = figures
    assert keeps_up.value > 0
    assert slow.value > 0


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.slow] * (kind != "<!>")) for kind in FLOODS]
)
def test_a_flood_of_what_no_honest_peer_sends(kind: str) -> None:
    figures = markup(0.2, floods=(kind,))
    assert judged(figures) == {COMPLAINTS: True}
    timed = {figure.what: figure.value for figure in figures if figure.timed}
    assert list(timed) == [
        f"{kind} {speed}: p99 of another client's request, ms"
        for speed in ("at 90 kB/s", "at full speed")
    ]
    assert all(0 < value < float("inf") for value in timed.values())


def test_a_filled_element_is_just_small_enough_to_be_read() -> None:
    for filling in FLOODS[3:]:
        element = filled(filling)
        assert len(Decoder().feed(element)) == 1
        assert MAX_ELEMENT_BYTES * 0.99 < len(element) <= MAX_ELEMENT_BYTES


@pytest.mark.usefixtures("alone")
def test_an_upload_that_unpacks_to_much_more() -> None:
    figures = unpack(2, seconds=0.2)
    cases = ("to no property", "to a property")
    assert judged(figures) == {
        **{f"{case}: uploads that were read": True for case in cases},
        **{f"{case}: growth of the server's memory at its peak, MiB": True for case in cases},
        COMPLAINTS: True,
    }


@pytest.mark.slow
@pytest.mark.usefixtures("alone")
def test_clients_that_vanish_behind_a_stuck_handler() -> None:
    assert judged(vanished(0.1)) == {
        "reset: places that are held for ever": True,
        "closed: places that are held for ever": True,
        COMPLAINTS: True,
    }


@pytest.mark.usefixtures("alone")
def test_pings_of_a_client_that_reads_no_reply() -> None:
    figures = pings(0.2)
    assert judged(figures) == {
        "short pings: growth of the server's memory at its peak, MiB": True,
        "short pings: pieces of memory in use when they have gone": True,
        COMPLAINTS: True,
    }
    assert figures[0].value > 0


@pytest.mark.interop
def test_the_figures_of_indiserver_stand_beside_ours() -> None:
    if shutil.which("indiserver") is None:
        pytest.skip("NOT TESTED against indiserver: install indi-bin")
    figures = steady(0.5, size=10_000, rate=20, speed=30_000)
    assert all(figure.stock is not None for figure in figures[:-1])
    assert figures[0].stock


def test_without_indiserver_there_are_only_ours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    figures = beside.beside({"easy": lambda _server: [Figure("x", 1, most=1)]})
    assert [(figure.what, figure.stock) for figure in figures] == [
        ("easy: x", None),
        (COMPLAINTS, None),
    ]
    assert "indiserver is not installed" in capsys.readouterr().err


def test_a_long_wait_counts_for_the_requests_that_it_kept_from_being_made() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answer(listener)
        bystander = Bystander(listener.getsockname()[1], "x", b"", 0)
        bystander.run()
    bystander.took = [1.0] * 500 + [1000.0]
    assert bystander.latest(0.5) == 1.0
    assert bystander.latest(0.99) > 950
    assert bystander.latest(1) == 1000


SILENT = """
class Silent(NumberVector):
    async def send_setVector(self, *args, **options):
        await super().send_setVector(*args, **options)
        self["temperature"] += 0.5

class Thermostat("""


def test_a_state_that_nobody_was_told_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = hours.EXAMPLE.read_text(encoding="utf-8")
    source = source.replace("\nclass Thermostat(", SILENT)
    source = source.replace("self.temperature = NumberVector(", "self.temperature = Silent(")
    monkeypatch.setattr(hours, "EXAMPLE", tmp_path / "silent.py")
    hours.EXAMPLE.write_text(source, encoding="utf-8")
    figures = thermostat(0.1, seed=1)
    assert (figures[0].what, figures[0].value) == ("clients that end with the driver's state", 0)
    assert not figures[0].kept


def test_a_report_that_somebody_missed_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    route = Router.route
    left = iter(range(10))

    def forgetful(self: Any, event: Any, speaker: Any) -> Any:
        found = route(self, event, speaker)
        forget = isinstance(event, setNumberVector) and next(left, None) == 5
        return found._replace(receivers=found.receivers[1:]) if forget else found

    monkeypatch.setattr(Router, "route", forgetful)
    figures = thermostat(0.1, seed=1)
    # What came later has made up for it.
    assert [figure.kept for figure in figures[:2]] == [True, False]
    assert figures[1].value == 1


# Whoever judges --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("figure", "bound", "kept"),
    [
        (Figure("x", 5), "", True),
        (Figure("x", 5, most=5), "≤ 5", True),
        (Figure("x", 5.1, most=5), "≤ 5", False),
        (Figure("x", 5, least=5), "≥ 5", True),
        (Figure("x", 4, least=5), "≥ 5", False),
        (Figure("x", float("nan"), most=5), "≤ 5", False),
        (Figure("x", float("inf"), most=5000.5), "≤ 5,000", False),
        (Figure("x", 1, most=2.25), "≤ 2.2", True),
    ],
)
def test_a_figure_keeps_its_bound_or_not(figure: Figure, bound: str, kept: bool) -> None:
    assert (figure.bound, figure.kept) == (bound, kept)


RESULTS = {"flood": [Figure("p99, ms", 25.5, most=20, stock=5), Figure("requests", 12345)]}


def test_the_table_says_what_is_kept() -> None:
    assert table(RESULTS).splitlines() == [
        "scenario  figure    value   bound  kept     indiserver",
        "flood     p99, ms   25.5    ≤ 20   not met  5",
        "flood     requests  12,345",
    ]


def test_the_page_says_the_same_and_where_it_was() -> None:
    what, _, about, _, *rows = page(RESULTS, {"flood": "Much."}).splitlines()[1:]
    assert what == "- **flood**: Much."
    assert about.startswith("Measured on ")
    assert rows == [
        "| scenario | figure | value | bound | kept | indiserver |",
        "|---|---|---|---|---|---|",
        "| flood | p99, ms | 25.5 | ≤ 20 | not met | 5 |",
        "| flood | requests | 12,345 |  |  |  |",
    ]


def test_the_figures_are_written_as_json(tmp_path: Path) -> None:
    place = tmp_path / "new" / "soak.json"
    write_json(place, RESULTS | {"other": [Figure("late, ms", float("inf"), most=20)]})
    written = json.loads(place.read_text(encoding="utf-8"))
    first, second = written["scenarios"]["flood"]
    assert first == {
        "what": "p99, ms",
        "value": 25.5,
        "most": 20,
        "least": None,
        "stock": 5,
        "timed": False,
        "kept": False,
    }
    assert second["kept"]
    (late,) = written["scenarios"]["other"]
    assert (late["value"], late["kept"]) == (None, False)
    assert written["about"].keys() == {"date", "machine", "python", "trio"}


def test_the_page_of_the_documentation_is_of_all_scenarios() -> None:
    text = soak.PAGE.read_text(encoding="utf-8")
    for name, scenario in soak.SCENARIOS.items():
        assert f"- **{name}**: {scenario.about}\n" in text
    assert set(re.findall(r"^\| (\w+) \| .* met \| [^|]*\|$", text, re.MULTILINE)) == set(
        soak.SCENARIOS
    )


# The command -----------------------------------------------------------------------------------


@pytest.fixture
def scenarios(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Scenarios that take no time, in the place of the real ones."""

    def stuck(_seconds: float) -> list[Figure]:
        raise TimeoutError("the server does not answer")

    def lasting(most: float) -> Any:
        return lambda seconds: [Figure("seconds", seconds, most=most)]

    def slow(seconds: float) -> list[Figure]:
        return [Figure("late, ms", seconds, most=5, timed=True)]

    given: dict[str, Any] = {
        "slow": soak.Scenario("Slow.", slow, 60, 10),
        "good": soak.Scenario("Easy.", lasting(60), 60, 10),
        "bad": soak.Scenario("Hard.", lasting(5), 60, 10),
        "stuck": soak.Scenario("Endless.", stuck, 60, 10),
    }
    monkeypatch.setattr(soak, "SCENARIOS", given)
    return given


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--only", "good"], 0, "good      seconds  60     ≤ 60   met"),
        (["--only", "good", "--quick"], 0, "good      seconds  10     ≤ 60   met"),
        (["--only", "bad", "good", "--quick"], 1, "bad       seconds  10     ≤ 5    not met"),
        (
            ["--only", "stuck", "good"],
            1,
            "good      seconds                       60     ≤ 60   met",
        ),
        (["--only", "slow"], 1, "slow      late, ms  60     ≤ 5    not met"),
        # That one machine is busy proves nothing.
        (["--only", "slow", "--quick"], 0, "slow      late, ms  10     ≤ 5    not met"),
        (["--only", "stuck"], 1, "stuck     it ended early: TimeoutError  1      ≤ 0    not met"),
    ],
)
@pytest.mark.usefixtures("scenarios")
def test_the_exit_status_says_whether_all_is_kept(
    arguments: list[str], status: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "soak.json"
    assert soak.main([*arguments, "--json", str(place)]) == status
    out, err = capsys.readouterr()
    assert said in out.splitlines()
    assert ("the server does not answer" in err) == ("stuck" in arguments)
    names = [argument for argument in arguments if argument[0] != "-"]
    assert list(json.loads(place.read_text(encoding="utf-8"))["scenarios"]) == names


def test_the_page_is_written_on_request(
    scenarios: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = tmp_path / "docs" / "soak.md"
    monkeypatch.setattr(soak, "PAGE", written)
    del scenarios["stuck"]
    common = ["--json", str(tmp_path / "soak.json")]
    assert soak.main(common) == 1
    assert not written.exists()
    assert soak.main(["--docs", *common]) == 1
    assert "| bad | seconds | 60 | ≤ 5 | not met |  |" in written.read_text(encoding="utf-8")


@pytest.mark.parametrize("other", [["--quick"], ["--only", "good"]])
@pytest.mark.usefixtures("scenarios")
def test_the_page_shows_only_full_runs(other: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        soak.main(["--docs", *other])


# Whoever watches -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [100, 101, 102])
def test_a_frame_is_known_to_the_last_character(size: int) -> None:
    frames = Frames(size)
    text = bytearray(base64.b64encode(frames.payload(5)))
    assert len(frames.payload(5)) == size
    assert len(text) == frames.encoded_size
    assert frames.is_encoded(5, text)
    # 9 has the same bytes behind its number.
    assert not any(frames.is_encoded(number, text) for number in (4, 6, 9))
    for index in range(len(text)):
        other = text[:index] + bytes([text[index] ^ 1]) + text[index + 1 :]
        assert not frames.is_encoded(5, other)
    assert not frames.is_encoded(5, text[:-1])
    assert not frames.is_encoded(5, text + b"=")


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (lambda sent: sent, ""),
        (lambda sent: sent[:2] + sent[3:], "after 2 frames: ValueError: frame 2 is not what"),
        (lambda sent: [sent[0], sent[2], sent[1]], "after 1 frames: ValueError: frame 1 is not"),
        (lambda sent: sent[:2], "after 2 frames: ConnectionError: the server has closed"),
        (
            lambda sent: [sent[0].replace(b'size="999"', b'size="998"')],
            "after 0 frames: ValueError: frame 0 is announced with",
        ),
        (lambda sent: [sent[0][:500]], "after 0 frames: ConnectionError: the server has closed"),
    ],
    ids=["all", "lost", "swapped", "end", "size", "torn"],
)
def test_a_good_client_tells_what_it_has_not_received(change: Any, wrong: str) -> None:
    frames = Frames(999)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = answer(listener, *change([encoded(frames, number) for number in range(5)]))
        client = GoodClient(listener.getsockname()[1], frames, 5)
        client.start()
        client.join(DEADLINE)
        server.join(DEADLINE)
    assert client.wrong[: len(wrong)] == wrong
    assert (client.received == 5) == (client.wrong == "")


def test_errors_and_pythons_own_warnings_are_complaints() -> None:
    log = logging.getLogger("soaked")
    with Complaints() as complaints:
        log.warning("a client is sent away")
        assert complaints.count == 0
        log.error("an error")
        log.warning("with an exception", exc_info=ValueError())
        logging.getLogger("py.warnings").warning("a ResourceWarning")
        assert complaints.count == 3
    log.error("another one")
    assert complaints.count == 3
