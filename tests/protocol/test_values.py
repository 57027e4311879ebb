"""Numbers, display formats, timestamps, names and text (protocol §3)."""

import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.strategies import attribute_texts, numbers
from trindi.protocol import (
    check_format,
    check_name,
    clean,
    format_number,
    format_timestamp,
    number_to_text,
    parse_number,
    parse_timestamp,
    to_float,
    to_utc,
)

SEXAGESIMAL = 10 + 20 / 60 + 30 / 3600


# §3.1: numbers from the wire -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10:20:30", SEXAGESIMAL),
        ("10;20;30", SEXAGESIMAL),
        ("10 20 30", SEXAGESIMAL),
        ("10  20  30", SEXAGESIMAL),
        ("-10:30:18", -10.505),
        ("-10 30.3", -10.505),
        ("-10.505", -10.505),
        ("1e-6", 1e-6),
        ("1e3", 1000.0),
        ("1E+3", 1000.0),
        ("10:", 10.0),
        ("10:20:", 10 + 20 / 60),
        (".5", 0.5),
        ("5.", 5.0),
        ("+5", 5.0),
        ("-0:30", -0.5),
        ("1.5:30", 2.0),
        ("10:60:60", 10 + 60 / 60 + 60 / 3600),
        (" \t\r\n5\n ", 5.0),
        ("0", 0.0),
        ("12345678901234567890", 12345678901234567890.0),
        ("123456789012345678901234567890", 123456789012345678901234567890.0),
        ("0." + "3" * 100, 1 / 3),
    ],
)
def test_number(text: str, value: float) -> None:
    assert parse_number(text) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "abc",
        ":30",
        ":",
        "-",
        "- 5",
        "--5",
        "+-5",
        "5abc",
        "5-6",
        "1,5",
        "10h20m30s",
        "10::30",
        "10:-20",
        "10:20:30:40",
        "12:34:56:78",
        "inf",
        "-Infinity",
        "nan",
        "10:nan",
        "0x1A",
        "1_000",
        "1e",
        ".",
        "e5",
        "\u0661",
        "1\u00a0",
        "1\x0c",
    ],
)
def test_no_number(text: str) -> None:
    with pytest.raises(ValueError, match="is not a number"):
        parse_number(text)


@pytest.mark.parametrize("text", ["1e400", "-1e400", "1:1e400", "9" * 20 + "e308"])
def test_number_out_of_range(text: str) -> None:
    with pytest.raises(ValueError, match="out of range"):
        parse_number(text)


def test_number_too_long() -> None:
    with pytest.raises(ValueError, match="too long"):
        parse_number("1" * 200)


def test_minus_zero() -> None:
    assert math.copysign(1, parse_number("-0")) == -1
    assert math.copysign(1, parse_number("-0:0:0")) == -1


@given(st.text())
def test_any_text_is_a_finite_number_or_none(text: str) -> None:
    try:
        value = parse_number(text)
    except ValueError:
        return
    assert math.isfinite(value)


@given(numbers())
def test_number_there_and_back(value: float) -> None:
    text = number_to_text(value)
    back = parse_number(text)
    assert (back, math.copysign(1, back)) == (value, math.copysign(1, value))
    assert len(text) <= len(repr(value))
    assert " " not in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.5, "1.5"),
        (2.0, "2"),
        (-0.0, "-0"),
        (0.1, "0.1"),
        (1e22, "1e+22"),
        (1e-7, "1e-07"),
        (3, "3"),
    ],
)
def test_number_is_written_short(value: float, text: str) -> None:
    assert number_to_text(value) == text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_number_never_written(value: float) -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        number_to_text(value)


# What an author may give -----------------------------------------------------------------------


class Scalar:
    """Like numpy's: no float, but can become one."""

    def __float__(self) -> float:
        return 2.5


@pytest.mark.parametrize(
    ("value", "number"),
    [("-0:30", -0.5), (3, 3.0), (True, 1.0), (1.5, 1.5), (Decimal("0.1"), 0.1), (Scalar(), 2.5)],
)
def test_to_float(value: Any, number: float) -> None:
    assert to_float(value) == number
    assert type(to_float(value)) is float


@pytest.mark.parametrize("value", ["x", math.nan, math.inf, Decimal("NaN"), 10**400])
def test_to_float_refuses(value: Any) -> None:
    with pytest.raises(ValueError, match="number"):
        to_float(value)


@pytest.mark.parametrize("value", [None, b"1", [1], 1j])
def test_to_float_refuses_the_type(value: Any) -> None:
    with pytest.raises(TypeError, match="a number is given as"):
        to_float(value)


# §3.2: display formats -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("display", "value", "shown"),
    [
        ("%9.6m", 62 / 3600, "  0:01:02"),
        ("%10.6m", 1.5, "   1:30:00"),
        ("%10.6m", 0.9999999, "   1:00:00"),
        ("%10.6m", -0.0, "   0:00:00"),
        ("%10.8m", 12.3456, "12:20:44.2"),
        ("%5.3m", 1.9999, " 2:00"),
        ("%7.3m", -123.75, "-123:45"),
        ("%10.6m", -0.5, "  -0:30:00"),
        ("%10.6m", -0.0001, "  -0:00:00"),
        ("%8.5m", 12.3456, " 12:20.7"),
        ("%12.9m", 12.3456789, " 12:20:44.44"),
        ("%3.3m", -0.25, "  -0:15"),
        # Leading zeros are ignored, and so is what comes after the conversion.
        ("%010.6m", 1.5, "   1:30:00"),
        ("%10.6m hours", 1.5, "   1:30:00"),
        # Every other fraction is hours and minutes; what is too long for the width is not cut.
        ("%6.2m", 1.5, "   1:30"),
        ("%4.6m", 1.5, "1 :30:00"),
        ("%9.6m", 1.9999999, "  2:00:00"),
        # printf's own.
        ("%.f", 2.5, "2"),
        ("%.f", 3.5, "4"),
        ("%5.2f", 1.005, " 1.00"),
        ("%g", 1e-6, "1e-06"),
        ("%lf", 1.5, "1.500000"),
        ("%-8.3e|", 1234.5, "1.234e+03|"),
        ("%+G", 0.5, "+0.5"),
        ("%4.1f %%", 12.34, "12.3 %"),
        ("100%% %g", 1, "100% 1"),
    ],
)
def test_format(display: str, value: float, shown: str) -> None:
    assert format_number(value, display) == shown


@pytest.mark.parametrize(
    "display",
    [
        *(
            "",
            "5",
            "%d",
            "%s",
            "%x",
            "%",
            "%%",
            "%5.2f %5.2f",
            "%f%",
            "%*f",
            "%.*f",
            "%'f",
            "%100f",
        ),
        *("pre %10.6m", "%m", "%.6m", "%6m", "%10.6M", "%-10.6m", "%1000.6m", "%10.6000m", "%n"),
    ],
)
def test_format_is_refused(display: str) -> None:
    with pytest.raises(ValueError, match="is no number format"):
        check_format(display)
    with pytest.raises(ValueError, match="is no number format"):
        format_number(1.0, display)


def test_format_is_returned() -> None:
    assert check_format("%10.6m") == "%10.6m"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(math.nan, "nan"), (math.inf, "inf"), (-(2.0**31), "-2.14748e+09"), (1e300, "1e+300")],
)
def test_format_beyond_sexagesimal(value: float, shown: str) -> None:
    assert format_number(value, "%10.6m") == shown


def test_formatted_number_is_cut() -> None:
    assert format_number(1e99, "%f") == ("%f" % 1e99)[:63]  # noqa: UP031 - printf is meant
    assert format_number(1.0, "%99.6m") == " " * 63


@given(
    numbers() | st.floats(-1000, 1000),
    st.integers(0, 20),
    st.sampled_from([3, 5, 6, 8, 9]),
)
def test_sexagesimal_never_shows_sixty(value: float, width: int, fraction: int) -> None:
    shown = format_number(value, f"%{width}.{fraction}m")
    assert ":60" not in shown
    if abs(value) < 1000:
        unit = {3: 60, 5: 600, 6: 3600, 8: 36000, 9: 360000}[fraction]
        # Blanks between the degrees and the colon are printf's, for widths below the fraction.
        assert abs(parse_number(shown.replace(" ", "")) - value) <= 0.5 / unit + 1e-9


# Timestamps ------------------------------------------------------------------------------------

NOON = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("when", "text"),
    [
        (NOON, "2026-01-02T12:00:00"),
        (NOON.replace(microsecond=5), "2026-01-02T12:00:00.000005"),
        (NOON.replace(tzinfo=None), "2026-01-02T12:00:00"),
        (NOON.astimezone(timezone(timedelta(hours=-5))), "2026-01-02T12:00:00"),
        (datetime(33, 4, 3, 15, tzinfo=UTC), "0033-04-03T15:00:00"),
    ],
)
def test_timestamp_is_utc(when: datetime, text: str) -> None:
    assert format_timestamp(when) == text


@given(st.datetimes(timezones=st.just(UTC)))
def test_timestamp_there_and_back(when: datetime) -> None:
    assert format_timestamp(when) == when.replace(tzinfo=None).isoformat()
    assert parse_timestamp(format_timestamp(when)) == when


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02T12:00:00",
        "2026-01-02T12:00:00Z",
        "2026-01-02 12:00:00",
        " 2026-01-02T12:00:00\n",
        "2026-01-02T12:00:00.0",
        "2026-01-02T12:00:00.000000",
        "2026-01-02T13:00:00+01:00",
        "2026-01-02T12:00",
    ],
)
def test_timestamp_is_read_leniently(text: str) -> None:
    assert parse_timestamp(text) == NOON


@pytest.mark.parametrize(
    "text", ["", "now", "2026-13-02T12:00:00", "12:00:00", "0001-01-01T00:00:00+01:00", "\0"]
)
def test_no_timestamp(text: str) -> None:
    assert parse_timestamp(text) is None


def test_to_utc() -> None:
    assert to_utc(NOON.replace(tzinfo=None)) == NOON
    assert to_utc(NOON.astimezone(timezone(timedelta(hours=3)))).utcoffset() == timedelta(0)


# Names and text --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "CCD Simulator", "ABS.pos/1;2=3", "&<>\"'"])
def test_name(name: str) -> None:
    assert check_name(name, "device") == name


@pytest.mark.parametrize("name", ["", " a", "a ", "\t", "a\nb", "é", "a\x7f", "a\x00"])
def test_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="the name of a device"):
        check_name(name, "device")


def test_name_is_a_str() -> None:
    name: Any = 5
    with pytest.raises(TypeError, match="the name of a vector is a str, not int"):
        check_name(name, "vector")


def test_clean() -> None:
    assert clean("a\x00\x01\x08\x0b\x1f\x7f\ud800\uffffb\t\n\r\x85é") == "ab\t\n\r\x85é"


@given(attribute_texts())
def test_clean_keeps_what_is_legal(text: str) -> None:
    assert clean(text) == text
