"""Conditions: what they mean, and what is none."""

from __future__ import annotations

from typing import Any

import pytest

from trindi import Permission, State, SwitchState
from trindi.cli.conditions import (
    ConditionError,
    parse_condition,
    start_of_operand,
    write_address,
)

KNOWN: dict[tuple[str, str, str], Any] = {
    ("T", "v", "n"): 15.0,
    ("T", "v", "neg"): -0.5,
    ("T", "v", "_STATE"): State.OK,
    ("T", "v", "_PERM"): Permission.RW,
    ("T", "v", "on"): SwitchState.ON,
    ("T", "v", "text"): "left  right",
    ("T", "v", "digits"): "12",
    ("CCD Simulator", "CCD 1", "a.b"): 1.0,
    ("T", "v", "_TS"): "2026-11-23T01:02:03",
}


def quote_it(written: str) -> str:
    return f"quote what has a blank, within the quotes of the shell: '{written} ...'"


def holds(text: str) -> bool | None:
    return parse_condition(text).holds(KNOWN.get)


@pytest.mark.parametrize(
    "text",
    [
        "T.v.n == 15",
        "T.v.n==15",
        "T.v.n>14.9",
        "T.v.n >= 15 and T.v.n <= 15",
        "15 == T.v.n",
        "14 < T.v.n < 16",
        "T.v.n != 16",
        "T.v.n > T.v.neg",
        "T.v.n == 15:00:00",
        "T.v.neg == -0:30",
        "T.v.n > -1e3",
        "T.v._STATE == Ok",
        'T.v._STATE == "Ok"',
        "T.v._STATE == 'Ok'",
        "Ok == T.v._STATE",
        "T.v._PERM == 'rw'",
        "T.v.on == On",
        "T.v.text == 'left  right'",
        "T.v.text != ''",
        "T.v.digits > 11",
        "T.v.digits == 12",
        "T.v.text != 5",
        '"CCD Simulator"."CCD 1"."a.b" == 1',
        "'CCD Simulator'.'CCD 1'.'a.b' == 1",
        "T.v._TS > '2026-11-23'",
        "(T.v.n == 15)",
        "((T.v.n == 15) and (T.v.on == On))",
        "T.v.n == 1 or T.v.on == On",
        "not T.v.n == 1",
        "not not T.v.n == 15",
        "not (T.v.n == 1 or T.v.n == 2)",
        # "and" binds more closely.
        "T.v.n == 15 or T.v.n == 1 and T.v.n == 2",
        "not T.v.n == 1 and T.v.n == 15",
        # What is not known does not matter here.
        "T.v.n == 15 or No.v.n == 1",
        "No.v.n == 1 or T.v.n == 15",
        "not (No.v.n == 1 and T.v.n == 1)",
        # Arithmetic, with blanks around its signs.
        "(T.v.n) > 1",
        "T.v.n + 1 > 15",
        "15 > T.v.n - 1",
        "T.v.n - 1 - 1 == 13",
        "2 * (T.v.n + 1) == 32 and T.v.n % 4 == 3",
        "T.v.n / 2 == 7.5",
        "T.v.n + 2 * T.v.neg == 14",
        "- (T.v.n) < 0 and + (T.v.n) > 0",
        "abs(T.v.neg) == 0.5",
        "abs(T.v.n - 15:30:00) < 1",
        "T.v.digits * 2 == 24",
        "abs(T.v.n - 15) < 0.1 or No.v.n == 1",
    ],
)
def test_what_holds(text: str) -> None:
    assert holds(text) is True


@pytest.mark.parametrize(
    "text",
    [
        "T.v.n == 16",
        "T.v.n > 15",
        "T.v.n < 15 < 16",
        "T.v._STATE == Busy",
        "T.v._STATE != Ok",
        "T.v.text == 5",
        "T.v.text > 5",
        "T.v.text <= 5",
        "T.v.text == 'left right'",
        "not T.v.n == 15",
        "T.v.n == 15 and T.v.on == Off",
        "T.v.n == 1 and No.v.n == 1",
    ],
)
def test_what_does_not_hold(text: str) -> None:
    assert holds(text) is False


@pytest.mark.parametrize(
    "text",
    [
        "No.v.n == 1",
        "not No.v.n == 1",
        "No.v.n != 1",
        "No.v.n == 1 or T.v.n == 1",
        "No.v.n == 1 and T.v.n == 15",
        "No.v.n == No.v.m",
        "T.v.n + No.v.n > 1",
        "abs(No.v.n) > 1",
        # A text that is no number now, and what has no value.
        "T.v.text + 1 > 1",
        "T.v.n / (T.v.n - 15) > 1",
        "T.v.n % (T.v.n - 15) > 1",
    ],
)
def test_what_is_not_known(text: str) -> None:
    assert holds(text) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "something is missing at its end"),
        ("T.v.n >", "something is missing at its end"),
        ("T.v.n == 1 and", "something is missing at its end"),
        ("T.v.n", "compare it with something"),
        ("not T.v.n", "compare it with something"),
        ("(T.v.n)", "compare it with something"),
        ("T.v.n + 1", "compare it with something"),
        ("abs(T.v.n)", "compare it with something"),
        ("(T.v.n > 1) > 1", "T.v.n > 1 is no value to compare"),
        ("T.v.n > 1 + not T.v.n", "'not' is not expected there"),
        ("abs(T.v.n > 1) > 1", "T.v.n > 1 is no value to compare"),
        ("abs() > T.v.n", r"abs\(\) is no value to compare"),
        ("abs(T.v.n, 1) > 1", "'T.v.n,' is no number|quote what has a blank"),
        ("T.v.n (1) > 1", r"T.v.n\(1\) is no value to compare"),
        ("() > T.v.n", r"\(\) is no value to compare"),
        ("T.v.n > 14-x", "no DEVICE.VECTOR.MEMBER: put blanks around"),
        ("2*T.v.n > 14", "no DEVICE.VECTOR.MEMBER"),
        ("T.v.n > 1 +", "something is missing at its end"),
        ("T.v.n ** 2 > 1", "'T.v.n' is not expected|quote what has a blank"),
        ("T.v.n > abs", "'abs' is no number"),
        ("T.v.n + 'x' > 1", "'x' is no number"),
        ("T.v.n + Ok > 1", "'Ok' is no number"),
        ("(T.v.n = 15)", "'=' is not expected there: write =="),
        ("T.v.n = 15", "'=' is not expected there: write =="),
        ("T.v.n == = 15", "'=' is not expected there"),
        ("T.v.n =< 15", "'=' is not expected there: write =="),
        ("!T.v.n == 15", "'!' is not expected there: write not"),
        ("T.v.n > 1 && T.v.n < 2", "'&&' is not expected there: write and"),
        ("(T.v.n > 1 || T.v.n < 2)", r"'\|\|' is not expected there: write or"),
        ("T.v.n > 1 AND T.v.n < 2", "'AND' is not expected there: write and"),
        ("NOT T.v.n > 1", "'NOT' is not expected there: write not"),
        ("T.v.n > 1 T.v.n", "'T.v.n' is not expected there"),
        ("T.v.n > 1)", r"'\)' is not expected there"),
        ("(T.v.n > 1", "a parenthesis is not closed"),
        ("and T.v.n > 1", "'and' is not expected there"),
        ("T.v.n > 'x", "a quote is not closed: 'x"),
        ("T.v > 1", "'T.v' is no number and no DEVICE.VECTOR.MEMBER: quote texts, and names"),
        ("T.*.n > 1", "no DEVICE.VECTOR.MEMBER"),
        ("CCD Simulator.a.b > 1", quote_it('"CCD Simulator".a.b')),
        ("1 < CCD Simulator.a.b", quote_it('"CCD Simulator".a.b')),
        ("10 Micron.a.b > 1", quote_it('"10 Micron".a.b')),
        ("My CCD.My Chip.Set Point > 1 and A.b.c > 2", quote_it('"My CCD"."My Chip"."Set Point"')),
        ("T.v.Set Point > 1", quote_it('T.v."Set Point"')),
        ("'CCD Simulator'.My Chip.x > 1", quote_it('"CCD Simulator"."My Chip".x')),
        ("T.v.text == left right", quote_it('"left right"')),
        ("T.v.text == on the ..left", quote_it('"on the ..left"')),
        ("T.v._STATE == ok", "'ok' is no number and no DEVICE.VECTOR.MEMBER: write Ok"),
        ("T.v.n > fast", "'fast' is no number"),
        ("__import__('os').x > 1", r"'__import__' is no function: there is only abs\(\)"),
        ("foo(1)", r"'foo' is no function: there is only abs\(\)"),
        ("max (T.v.n, 2) > 1", r"'max' is no function: there is only abs\(\)"),
        ("T.v.n / 0 > 1", "T.v.n / 0 divides by 0"),
        ("T.v.n % (1 - 1) > 1", r"T.v.n % \(1 - 1\) divides by 0"),
        ("(" * 60 + "T.v.n > 1" + ")" * 60, "it is nested too deeply"),
        ("not " * 60 + "T.v.n > 1", "it is nested too deeply"),
        ("- " * 100_000 + "T.v.n > 1", "it is nested too deeply"),
        ("1 + " * 100_000 + "T.v.n > 1", "it is nested too deeply"),
    ],
)
def test_what_is_no_condition(text: str, reason: str) -> None:
    with pytest.raises(ConditionError, match=reason):
        parse_condition(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("T.v._STATE == OK", "'OK' is no number"),
        (
            "T.v._STATE == 'OK'",
            "T.v._STATE is one of Idle, Ok, Busy, Alert, now 'Ok', and never 'OK'",
        ),
        ("1 == T.v._STATE", "T.v._STATE is one of Idle, Ok, Busy, Alert, now 'Ok', and never 1"),
        ("T.v.on == 'on'", "T.v.on is one of Off, On, now 'On', and never 'on'"),
        (
            "T.v.on == T.v._STATE",
            "T.v._STATE is one of Idle, Ok, Busy, Alert, now 'Ok', and never 'On'",
        ),
        ("T.v.n == 'warm'", "T.v.n is a number, now 15, and never 'warm'"),
        ("'warm' == T.v.n", "T.v.n is a number, now 15, and never 'warm'"),
        ("T.v.n == Ok", "T.v.n is a number, now 15, and never 'Ok'"),
        ("T.v.n > 1 and 2 == 'x'", "2 is a number, now 2, and never 'x'"),
        ("T.v.n + 1 == 'warm'", r"T.v.n \+ 1 is a number, now 16, and never 'warm'"),
        ("T.v._STATE + 1 > 2", "T.v._STATE is no number"),
    ],
)
def test_what_can_never_be(text: str, reason: str) -> None:
    with pytest.raises(ConditionError, match=reason):
        holds(text)


def test_a_condition_names_what_it_is_about() -> None:
    condition = parse_condition("not (A.b.c > 1 and 1 < A.b.d) or A.b.c == 'D.e.f'")
    assert [str(address) for address in condition.addresses] == ["A.b.c", "A.b.d"]


@pytest.mark.parametrize(
    ("before", "operand"),
    [
        ("", ""),
        ("", "T.v"),
        ("", '"My Sh'),
        ("", '"My Shop".v."a b'),
        ("not ", ""),
        ("not (", "T"),
        # It may go on, to be a name.
        ("T.v.n == 'x y' ", "and"),
        ("T.v.n == 'x y' and ", "'x"),
        ("T.v.n>", "T.v"),
        ("T.v.n>", '"x'),
        ("T.v.n ", ""),
    ],
)
def test_where_an_operand_begins_that_is_not_finished(before: str, operand: str) -> None:
    assert start_of_operand(before + operand) == len(before)


@pytest.mark.parametrize("names", KNOWN)
@pytest.mark.parametrize("quote", ['"', "'"])
def test_an_address_is_written_so_that_it_can_be_read(
    names: tuple[str, str, str], quote: str
) -> None:
    condition = parse_condition(f"{write_address(names, quote)} > 1")
    assert condition.addresses == [names]


@pytest.mark.parametrize("name", ["a*b", "a=b", "(a)", "it's", '6" Newton', "a.b", " "])
def test_a_name_that_looks_otherwise_is_quoted(name: str) -> None:
    condition = parse_condition(f"{write_address(['D', 'v', name])} > 1")
    assert condition.addresses == [("D", "v", name)]


@pytest.mark.parametrize("relation", ["<", "==", "!=", ">"])
def test_what_has_no_reading_is_not_known(relation: str) -> None:
    condition = parse_condition(f"D.v.a {relation} 5")
    assert condition.holds(lambda _: float("nan")) is None
    assert parse_condition(f"D.v.a + 1 {relation} 5").holds(lambda _: float("nan")) is None
