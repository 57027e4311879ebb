"""How the table of `trindi watch` shares the width: names stay apart, and nothing takes it all."""

from __future__ import annotations

import re
from typing import Any

import pytest
from rich.cells import cell_len
from rich.text import Text

from trindi.cli.columns import Row, draw, fit
from trindi.protocol import State


def heading(name: str, depth: int = 2, **more: Any) -> Row:
    return Row(depth, name, **more)


def number(name: str, value: str = "1.00", trend: str = "▁") -> Row:
    return Row(4, name, value=Text(value), trend=trend)


def text(name: str, value: str = "some") -> Row:
    return Row(4, name, value=Text(value))


def drawn(rows: list[Row], width: int) -> list[str]:
    """The lines of a table."""
    return [line.plain for line in draw(rows, slice(len(rows)), width)[1:]]


# As libindi's simulators have them.
MOUNT = [
    heading("Telescope Simulator", 0),
    heading("Main Control", 1),
    heading("TELESCOPE_TRACK_MODE", state=State.IDLE, time="21:14:08"),
    *(text(f"TRACK_{one}", "Off") for one in ("SIDEREAL", "SOLAR", "LUNAR", "CUSTOM")),
    heading("STREAMING_EXPOSURE", state=State.OK, time="21:14:08"),
    number("STREAMING_EXPOSURE_VALUE", "0.100000"),
    number("STREAMING_DIVISOR_VALUE", "1"),
    heading("GEOGRAPHIC_COORD", state=State.OK, time="21:14:08"),
    number("LAT", "-123:45:06.7", "▁▂▃▄▅▆▇█"),
    heading("DRIVER_INFO", state=State.IDLE, time="21:14:08"),
    text("DRIVER_EXEC", "indi_simulator_telescope"),
]


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_name_and_no_value_is_cut_that_there_is_room_for(width: int) -> None:
    lines = drawn(MOUNT, width)
    assert "…" not in "".join(lines[:-1])
    for row, line in zip(MOUNT[:-1], lines, strict=False):
        assert f"{row.name} " in line
        assert (row.value or Text()).plain in line
    assert ("indi_simulator_telescope" in lines[-1]) == (width >= 80)


@pytest.mark.parametrize("width", range(1, 90))
def test_lines_have_the_width_of_the_terminal_at_most(width: int) -> None:
    rows = [*MOUNT, number("a" * 200, "9" * 200, "▁" * 16), text("望" * 50, "遠" * 50)]
    widest = max(map(cell_len, drawn(rows, width)))
    assert widest <= width or width < 20
    assert draw(rows, slice(0), width)[0].cell_len == widest


@pytest.mark.parametrize("width", [60, 80, 120])
def test_one_long_value_leaves_names_as_they_are(width: int) -> None:
    for long in (text("long", "x" * 300), number("long", "9" * 300)):
        lines = drawn([*MOUNT, long], width)
        names = [line.strip().split("  ")[0] for line in lines]
        assert names == [row.name for row in [*MOUNT, long]]
        assert re.search(r"(xxxxxxxx|99999999)… ", lines[-1])


@pytest.mark.parametrize("width", [60, 80, 120])
def test_one_long_name_leaves_room_for_values(width: int) -> None:
    lines = drawn([*MOUNT, number("x" * 300, "0.125")], width)
    assert "0.100000" in lines[8]
    assert "0.125" in lines[-1]
    assert "STREAMING_DIVISOR_VALUE " in lines[9]


def test_long_names_that_begin_alike_are_told_apart() -> None:
    rows = [number(f"CONTROLLED_TEMPERATURE_OF_THE_SENSOR_{end}") for end in ("MIN", "MAX")]
    low, high = (line.split()[0] for line in drawn(rows, 60))
    assert low == "CONTROLLED…HE_SENSOR_MIN"
    assert high == "CONTROLLED…HE_SENSOR_MAX"


def test_texts_and_headings_go_on_where_numbers_have_their_trend() -> None:
    rows = [
        number("n", "1", "▁▂▃"),
        text("t", "a text that is longer than most numbers"),
        heading("a property whose name is long", state=State.BUSY, time="21:14:08"),
    ]
    number_line, text_line, head = (line.rstrip() for line in drawn(rows, 80))
    assert number_line == "    n            1  ▁▂▃"
    assert text_line == "    t     a text that is longer than most numbers"
    assert re.fullmatch("  a property whose name is long {20}● Busy   21:14:08", head)


def test_of_a_trend_the_latest_is_shown_where_there_is_little_room() -> None:
    row = number("n", "9" * 50, "▁▂▃▄▅▆▇█")
    for width, expected in ((50, "▄▅▆▇█"), (49, "99…"), (80, "▄▅▆▇█")):
        assert drawn([row], width)[0].split()[-1].endswith(expected)


@pytest.mark.parametrize(
    ("shown", "width", "expected"),
    [
        ("abc", 5, "abc  "),
        ("abcdef", 6, "abcdef"),
        ("abcdefgh", 6, "abc…gh"),
        ("abcdefgh", 5, "ab…gh"),
        ("abcdefgh", 2, "a…"),
        ("abcdefgh", 1, "…"),
        # Each of these takes two columns; what is left over is blank.
        ("望遠鏡の名前", 12, "望遠鏡の名前"),
        ("望遠鏡の名前", 8, "望遠 …前"),
        ("望遠鏡の名前", 7, "望遠…前"),
    ],
)
def test_what_does_not_fit_is_cut_in_the_middle(shown: str, width: int, expected: str) -> None:
    assert fit(shown, width) == expected
    assert cell_len(fit(shown, width)) == width


def test_a_value_is_cut_at_the_end() -> None:
    for value in ("abcdefgh" * 9, "望遠鏡の名前" * 9):
        line = drawn([text("t", value)], 80)[0].rstrip()
        assert line.endswith("…")
        assert value.startswith(line.split()[1][:-1])
