"""Texts of peers stay one text on one line, in a terminal and in a log."""

from __future__ import annotations

import io
import logging

import pytest

from trindi.visible import VisibleFormatter, get_logger, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("20 °C, größer 🔭", "20 °C, größer 🔭"),
        ("C:\\new", "C:\\new"),
        ("a\u00a0b\u3000c", "a\u00a0b\u3000c"),
        ("\ue0b0", "\ue0b0"),
        ("one\ntwo\r\n\tthree", r"one\ntwo\r\n\tthree"),
        ("\x1b[2J\x07\x00\x7f", r"\x1b[2J\x07\x00\x7f"),
        ("\x9b2J \x9d0;title\x9c \x85", r"\x9b2J \x9d0;title\x9c \x85"),
        ("\u2028\u2029", r"\u2028\u2029"),
        ("\u202eevil\u202c", r"\u202eevil\u202c"),
        ("\u2066\u2069 \u200e\u200f\u061c", r"\u2066\u2069 \u200e\u200f\u061c"),
        ("Do\u200bme\ufeff\u00ad", r"Do\u200bme\ufeff\xad"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
    ],
    ids=ascii,
)  # fmt: skip
def test_what_a_terminal_acts_on_is_written_as_an_escape(text: str, shown: str) -> None:
    assert visible(text) == shown


def logged(formatter: logging.Formatter, name: str) -> tuple[logging.Logger, io.StringIO]:
    logger = get_logger(name)
    logger.propagate = False
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger.handlers[:] = [handler]
    return logger, stream


@pytest.mark.parametrize("formatter", [logging.Formatter, VisibleFormatter])
def test_a_text_in_the_log_forges_no_record(formatter: type[logging.Formatter]) -> None:
    logger, stream = logged(formatter("%(levelname)s %(message)s"), "trindi.test.visible")
    logger.error("%s has sent %d: %s", "a\nERROR b\x9b2J", 3, OSError("\x1b]0;t\x07\nERROR c"))
    try:
        raise ValueError("bad\nERROR all is lost\u202e")
    except ValueError:
        logger.exception("it has failed")
    lines = stream.getvalue().split("\n")
    assert lines[0] == r"ERROR a\nERROR b\x9b2J has sent 3: \x1b]0;t\x07\nERROR c"
    assert [line for line in lines if line.startswith("ERROR")][1:] == ["ERROR it has failed"]
    assert r"    ERROR all is lost\u202e" in lines


def test_what_others_log_is_visible_in_the_log_of_trindi_serve() -> None:
    record = logging.makeLogRecord({"msg": "read %s", "args": ("x\nERROR y\x9b",)})
    assert VisibleFormatter().format(record) == "read x\n    ERROR y\\x9b"


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_an_argument_that_cannot_be_written_costs_its_record_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    logger, stream = logged(logging.Formatter(), "trindi.test.unspeakable")
    logger.error("%s", UnspeakableError())
    logger.error("on it goes")
    assert stream.getvalue() == "on it goes\n"
