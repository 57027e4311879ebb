"""Members: what they take, what they hold, and when they have changed."""

import io
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from trindi import (
    BLOBMember,
    LightMember,
    Limits,
    NumberLabel,
    NumberMember,
    SizeFormat,
    State,
    SwitchMember,
    SwitchState,
    TextMember,
)

KINDS: list[Any] = [SwitchMember, LightMember, TextMember, NumberMember, BLOBMember]


@pytest.mark.parametrize("kind", KINDS)
class TestEveryKind:
    def test_label_defaults_to_the_name(self, kind: Any) -> None:
        assert kind("a").label == "a"
        assert kind("a", "the first").label == "the first"

    def test_is_changed_at_first(self, kind: Any) -> None:
        assert kind("a").changed

    @pytest.mark.parametrize("name", ["", "ü", "a\nb", "tab\t", "\x7f"])
    def test_refuses_names_that_are_no_printable_ascii(self, kind: Any, name: str) -> None:
        with pytest.raises(ValueError, match="name of a member"):
            kind(name)

    def test_takes_blanks_within_a_name(self, kind: Any) -> None:
        assert kind("a b").name == "a b"

    def test_refuses_a_label_that_is_no_text(self, kind: Any) -> None:
        with pytest.raises(TypeError, match="label"):
            kind("a", 5)

    def test_says_what_it_is(self, kind: Any) -> None:
        assert repr(kind("a")).startswith(f"{kind.__name__}('a', membervalue=")


@pytest.mark.parametrize(
    ("member", "value"),
    [
        (SwitchMember("a"), "Off"),
        (LightMember("a"), "Idle"),
        (TextMember("a"), ""),
        (NumberMember("a"), 0.0),
        (BLOBMember("a"), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_at_first(member: Any, value: Any) -> None:
    assert member.membervalue == value


def test_positional_arguments_stand_in_the_order_authors_know() -> None:
    number = NumberMember("n", "label", "%5.2f", "1", "9", "0.5", "2")
    assert number._definition_label() == NumberLabel("label", "%5.2f", 1, 9, 0.5)
    assert number.membervalue == 2
    blob = BLOBMember("b", "label", 3, ".fits", b"abc")
    assert (blob.label, blob.blobsize, blob.blobformat) == ("label", 3, ".fits")
    assert blob.membervalue == b"abc"
    assert SwitchMember("s", "label", "On").membervalue == "On"
    assert LightMember("l", "label", "Busy").membervalue == "Busy"
    assert TextMember("t", "label", "hello").membervalue == "hello"


class TestChanged:
    def test_is_set_by_a_new_value_only(self) -> None:
        member = NumberMember("n", membervalue=1)
        member._note_sent()
        assert not member.changed
        member.membervalue = "1"
        assert not member.changed
        member.membervalue = 2
        assert member.changed

    def test_the_same_bytes_are_a_new_frame(self) -> None:
        member = BLOBMember("b", membervalue=b"frame")
        member._note_sent()
        member.membervalue = b"frame"
        assert member.changed


class TestSwitch:
    @pytest.mark.parametrize(
        ("given", "held"),
        [("On", SwitchState.ON), ("Off", SwitchState.OFF), (True, "On"), (False, "Off")],
    )
    def test_takes_its_words_and_bools(self, given: Any, held: str) -> None:
        member = SwitchMember("s", membervalue=given)
        assert member.membervalue == held
        assert isinstance(member.membervalue, SwitchState)

    @pytest.mark.parametrize("value", ["on", "", 1, None, [], "Busy"])
    def test_refuses_anything_else_wherever_it_is_set(self, value: Any) -> None:
        with pytest.raises(ValueError, match="no switch value"):
            SwitchMember("s", membervalue=value)
        member = SwitchMember("s")
        with pytest.raises(ValueError, match="no switch value"):
            member.membervalue = value
        assert member.membervalue == "Off"


def test_light_takes_the_four_states_only() -> None:
    assert [LightMember("l", membervalue=str(state)).membervalue for state in State] == list(State)
    with pytest.raises(ValueError, match="no state"):
        LightMember("l", membervalue="On")


def test_text_is_any_unicode_and_nothing_but_text() -> None:
    assert TextMember("t", membervalue="Größe ☾").membervalue == "Größe ☾"
    with pytest.raises(TypeError, match=r"use str\("):
        TextMember("t").membervalue = 5


class TestNumber:
    @pytest.mark.parametrize("value", ["1.5", 1.5, Decimal("1.5"), "1:30", " 1.5 ", "1 30"])
    def test_takes_text_and_numbers_and_holds_a_float(self, value: Any) -> None:
        member = NumberMember("n", membervalue=value)
        assert member.membervalue == 1.5
        assert type(member.membervalue) is float

    def test_takes_an_int(self) -> None:
        value = NumberMember("n", membervalue=3).membervalue
        assert (value, type(value)) == (3.0, float)

    @pytest.mark.parametrize("value", ["", "abc", "nan", float("inf"), 10**400])
    def test_refuses_what_is_no_number(self, value: Any) -> None:
        with pytest.raises(ValueError, match=r"number|range"):
            NumberMember("n", membervalue=value)

    @pytest.mark.parametrize("value", [None, float("nan"), Decimal("NaN")])
    def test_without_a_reading_it_is_nan(self, value: Any) -> None:
        member = NumberMember("n", format="%5.2f", membervalue=1)
        member._note_sent()
        member.membervalue = value
        assert math.isnan(member.membervalue)
        assert (member.formatted.strip(), member.changed) == ("nan", True)
        member._note_sent()
        member.membervalue = float("nan")
        assert member.changed is False

    def test_a_reading_may_come_back(self) -> None:
        member = NumberMember("n", membervalue=float("nan"))
        member._note_sent()
        member.membervalue = 2
        assert (member.membervalue, member.changed) == (2.0, True)

    @pytest.mark.parametrize("value", [None, float("nan")])
    def test_limits_are_numbers(self, value: Any) -> None:
        with pytest.raises((ValueError, TypeError), match="number"):
            NumberMember("n", min=value, max=5)

    def test_refuses_what_is_of_no_number_type(self) -> None:
        with pytest.raises(TypeError, match="str, int, float or Decimal"):
            NumberMember("n", membervalue=b"1")  # type: ignore[arg-type]

    def test_limits_may_be_given_as_any_kind_of_number(self) -> None:
        member = NumberMember("n", min="-1:30", max=Decimal("2.5"), step=1)
        assert (member.min, member.max, member.step) == (-1.5, 2.5, 1.0)

    def test_limits_must_make_sense(self) -> None:
        with pytest.raises(ValueError, match="min 2 is above max 1"):
            NumberMember("n", min=2, max=1)
        with pytest.raises(ValueError, match="step -1 is below 0"):
            NumberMember("n", step=-1)
        with pytest.raises(ValueError, match="not a number"):
            NumberMember("n", max="high")

    def test_the_driver_itself_is_not_held_to_the_limits(self) -> None:
        member = NumberMember("n", min=0, max=1)
        member.membervalue = 7
        assert member.membervalue == 7

    def test_new_limits_are_news(self) -> None:
        def news(member: NumberMember) -> tuple[bool, bool]:
            return member.changed, member._has_unsent_limits

        member = NumberMember("n", min=0, max=1)
        member._note_sent()
        assert news(member) == (False, False)
        member.limits = ("0", 20, 0.5)
        assert member.limits == Limits(0, 20, 0.5)
        assert news(member) == (True, True)
        member._note_sent()
        assert news(member) == (False, False)

    def test_new_limits_that_make_no_sense_leave_the_old_ones(self) -> None:
        member = NumberMember("n", min=0, max=1)
        with pytest.raises(ValueError, match="above max"):
            member.limits = (5, 4, 0)
        assert member.limits == (0, 1, 0)

    def test_format_is_for_display_only(self) -> None:
        member = NumberMember("n", format="%9.6m", membervalue="12.5")
        assert member.formatted == " 12:30:00"
        assert member.membervalue == 12.5

    def test_format_defaults_to_the_shortest(self) -> None:
        assert NumberMember("n", membervalue="0.1").formatted == "0.1"

    @pytest.mark.parametrize("bad", ["%d", "5", "%s", "%f %f"])
    def test_refuses_a_format_that_clients_cannot_use(self, bad: str) -> None:
        with pytest.raises(ValueError, match="no number format"):
            NumberMember("n", format=bad)


class TestBLOB:
    @pytest.mark.parametrize("value", [b"abc", bytearray(b"abc"), memoryview(b"abc")])
    def test_takes_what_is_like_bytes(self, value: Any) -> None:
        member = BLOBMember("b", membervalue=value)
        assert member.membervalue == b"abc"
        assert type(member.membervalue) is bytes
        assert member._is_loaded()

    def test_a_later_change_of_a_bytearray_does_not_reach_it(self) -> None:
        frame = bytearray(b"abc")
        member = BLOBMember("b", membervalue=frame)
        frame[:] = b"xyz"
        assert member.membervalue == b"abc"

    @pytest.mark.parametrize("kind", [str, Path])
    def test_reads_the_file_of_a_path(self, kind: Any, tmp_path: Path) -> None:
        path = tmp_path / "frame.fits"
        path.write_bytes(b"frame")
        member = BLOBMember("b", membervalue=kind(path))
        assert not member._is_loaded()
        assert member._load() == b"frame"
        assert member.blobformat == ".fits"

    def test_reads_an_open_file(self) -> None:
        assert BLOBMember("b", membervalue=io.BytesIO(b"frame"))._load() == b"frame"

    @pytest.mark.parametrize("value", [5, io.StringIO("text"), ["list"]])
    def test_refuses_what_is_no_blob(self, value: Any) -> None:
        with pytest.raises(TypeError, match="binary mode"):
            BLOBMember("b", membervalue=value)

    def test_a_file_that_turns_out_to_give_text_is_refused(self) -> None:
        class Odd(io.BytesIO):
            def read(self, size: int | None = -1) -> Any:
                return "text"

        with pytest.raises(TypeError, match="gives str, not bytes"):
            BLOBMember("b", membervalue=Odd())._load()

    def test_nothing_to_send_is_said(self) -> None:
        with pytest.raises(ValueError, match="'b' has no value to send"):
            BLOBMember("b")._load()

    @pytest.mark.parametrize(
        ("value", "seen"),
        [(b"", ".bin"), ("frame", ".bin"), ("frame.", ".bin"), ("frame.fits", ".fits")],
    )
    def test_format_is_never_empty(self, value: Any, seen: str) -> None:
        assert BLOBMember("b", membervalue=value).blobformat == seen

    def test_format_and_size_must_make_sense(self) -> None:
        with pytest.raises(ValueError, match="too short"):
            BLOBMember("b", blobformat="f")
        with pytest.raises(TypeError, match="blobformat"):
            BLOBMember("b", blobformat=None)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="blobsize"):
            BLOBMember("b", blobsize=-1)

    def test_bytes_that_are_compressed_already_are_undone(self) -> None:
        import zlib

        member = BLOBMember(
            "b", blobsize=1000, blobformat=".fits.z", membervalue=zlib.compress(bytes(1000))
        )
        assert not member._is_loaded()
        assert member._load() == bytes(1000)

    def test_plain_bytes_for_a_compressed_format_are_at_hand(self) -> None:
        assert BLOBMember("b", blobformat=".fits.z", membervalue=b"abc")._is_loaded()

    def test_a_blobsize_that_fits_nothing_is_explained(self) -> None:
        member = BLOBMember("b", blobsize=4, blobformat=".z", membervalue=b"abc")
        with pytest.raises(ValueError, match="holds 3 bytes and its blobsize is 4"):
            member._load()

    def test_size_and_format_compare_with_a_pair(self) -> None:
        assert SizeFormat(3, ".bin") == (3, ".bin")
