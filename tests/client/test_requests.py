"""Requests for new values: checked and completed before they leave."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.kit.client import OFF, ON, blobs, lights, numbers, switches, texts
from trindi import ConfigurationError, Permission, Rule, SizeFormat, delProperty, setBLOBVector
from trindi.client.mirror import Mirror
from trindi.client.requests import Upload, make_request
from trindi.protocol import NO_READING

if TYPE_CHECKING:
    from pathlib import Path

    from trindi.client.remote import RemoteVector


def vector_of(*events: Any) -> RemoteVector:
    operations: Any = None
    mirror = Mirror(operations, now=lambda: datetime(2026, 11, 23, tzinfo=UTC))
    for event in events:
        mirror.apply(event)
    vector = mirror.find(events[0].devicename, events[0].vectorname)
    assert vector is not None
    return vector


def request(definition: Any, **values: Any) -> dict[str, Any]:
    event: Any = make_request(vector_of(definition), values)
    assert (event.devicename, event.vectorname) == ("Dev", definition.vectorname)
    return dict(event)


# Permission --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "definition", [numbers(perm=Permission.RO), lights()], ids=["read-only", "lights"]
)
def test_a_read_only_property_cannot_be_set(definition: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"Dev \w+ is read-only: it can be watched"):
        request(definition, x=1)


def test_a_write_only_property_can_be_set() -> None:
    assert request(numbers(perm=Permission.WO), x=3) == {"x": 3.0, "y": 2.0}


def test_an_unknown_member_cannot_be_set() -> None:
    with pytest.raises(KeyError, match="target has no member 'z', only x, y"):
        request(numbers(), z=1)


def test_a_request_for_nothing_cannot_be_made() -> None:
    with pytest.raises(ConfigurationError, match="name at least one of x, y"):
        request(numbers())


def test_a_deleted_property_cannot_be_set() -> None:
    operations: Any = None
    mirror = Mirror(operations, now=lambda: datetime(2026, 11, 23, tzinfo=UTC))
    mirror.apply(numbers())
    vector: Any = mirror.find("Dev", "target")
    mirror.apply(delProperty("Dev"))
    with pytest.raises(ConfigurationError, match="wait_defined"):
        make_request(vector, {"x": 1})


# Numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "sent"),
    [(5, 5.0), (1.5, 1.5), ("1:30", 1.5), (Decimal("2.5"), 2.5), (0, 0.0), (100, 100.0)],
    ids=str,
)
def test_a_number_may_be_given_in_many_ways(given: Any, sent: float) -> None:
    assert request(numbers({"x": 1.0}), x=given) == {"x": sent}


def test_all_numbers_are_sent_in_their_order() -> None:
    sent = request(numbers({"x": 1.0, "y": 2.0, "z": 3.0}), y=9)
    assert list(sent.items()) == [("x", 1.0), ("y", 9.0), ("z", 3.0)]


def test_a_present_number_beyond_its_limits_is_not_sent() -> None:
    assert request(numbers({"x": 500.0, "y": 2.0}), y=3) == {"y": 3.0}


@pytest.mark.parametrize("value", [-0.1, 100.1, "101"])
def test_a_number_beyond_its_limits_cannot_be_set(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="x is between 0 and 100, not"):
        request(numbers(), x=value)


def test_equal_limits_set_no_limit() -> None:
    assert request(numbers({"x": 1.0}, limits=(0, 0, 0)), x=-1e9) == {"x": -1e9}


@pytest.mark.parametrize("value", ["warm", "", float("nan"), float("inf")])
def test_a_text_that_is_no_number_cannot_be_set(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="x: "):
        request(numbers(), x=value)


def test_a_value_of_no_numeric_type_cannot_be_set() -> None:
    with pytest.raises(TypeError, match="number"):
        request(numbers(), x=[1])


# Texts -----------------------------------------------------------------------------------------


def test_all_texts_are_sent() -> None:
    assert request(texts(), b="new") == {"a": "one", "b": "new"}


@pytest.mark.parametrize("text", ["\x00", "a\x1bb", "\ud800"])
def test_a_text_that_indi_cannot_carry_cannot_be_set(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"a: .* INDI cannot carry"):
        request(texts(), a=text)


def test_texts_that_could_not_be_sent_back_cannot_be_set() -> None:
    long = "&" * 150_000
    assert request(texts(), a=long)["a"] == long
    with pytest.raises(ConfigurationError, match=r"Dev note: texts of 1500\d+ bytes .* 1048576"):
        request(texts(), a=long, b=long)
    with pytest.raises(ConfigurationError, match=r"could not be sent back: 1000 at most"):
        make_request(vector_of(texts()), {"a": "x" * 1000}, max_bytes=1000)


def test_a_value_that_is_no_text_cannot_be_set() -> None:
    with pytest.raises(TypeError, match="a is a str, not int"):
        request(texts(), a=5)


# Switches --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [Rule.ONE_OF_MANY, Rule.AT_MOST_ONE])
@pytest.mark.parametrize("value", ["On", ON, True], ids=repr)
def test_the_others_are_sent_as_off_where_only_one_may_be_on(value: Any, rule: Rule) -> None:
    """A lone On leaves two On in libindi's drivers under AtMostOne: a mount goes on north."""
    defined = switches(rule, members={"north": ON, "fast": OFF, "east": OFF}, memberlabels={})
    for given in ({}, {"north": "Off"}):
        asked = request(defined, fast=value, **given)
        assert list(asked.items()) == [("north", OFF), ("east", OFF), ("fast", ON)]


@pytest.mark.parametrize("value", ["On", ON, True], ids=repr)
def test_only_the_given_switches_are_sent_where_any_may_be_on(value: Any) -> None:
    assert request(switches(Rule.ANY_OF_MANY), fast=value) == {"fast": ON}
    off_too = request(switches(Rule.ANY_OF_MANY), fast=value, slow="Off")
    assert off_too == {"fast": ON, "slow": OFF}


def test_a_switch_may_have_any_name() -> None:
    defined = switches(members={"schnell é": OFF, "b": ON}, memberlabels={})
    assert request(defined, **{"schnell é": True}) == {"b": OFF, "schnell é": ON}


@pytest.mark.parametrize("rule", [Rule.ONE_OF_MANY, Rule.AT_MOST_ONE])
def test_two_switches_cannot_be_on(rule: Rule) -> None:
    with pytest.raises(ConfigurationError, match=f"only one of slow, fast may be On: {rule}"):
        request(switches(rule), slow="On", fast="On")


def test_one_switch_of_many_has_to_be_on() -> None:
    with pytest.raises(ConfigurationError, match="turn another On instead, under OneOfMany: fast"):
        request(switches(), slow="Off")


def test_no_switch_need_be_on_where_the_rule_allows_it() -> None:
    assert request(switches(Rule.AT_MOST_ONE), slow=False) == {"slow": OFF}
    both = {"slow": ON, "fast": ON}
    assert request(switches(Rule.ANY_OF_MANY), **both) == both


def test_a_value_that_is_no_switch_value_cannot_be_set() -> None:
    with pytest.raises(ConfigurationError, match="'on' is no switch value"):
        request(switches(), slow="on")


# BLOBs -----------------------------------------------------------------------------------------


def upload(vector: RemoteVector, value: Any) -> tuple[bytes, SizeFormat]:
    event = Upload(vector, {"file": value}).load()
    assert (event.devicename, event.vectorname) == ("Dev", "image")
    return event["file"], event.sizeformat["file"]


def test_bytes_have_a_format() -> None:
    vector = vector_of(blobs())
    assert upload(vector, b"data") == (b"data", SizeFormat(4, ".bin"))
    assert upload(vector, (bytearray(b"data"), ".fits")) == (b"data", SizeFormat(4, ".fits"))


def test_bytes_have_the_format_of_the_newest_frame() -> None:
    about = {"file": SizeFormat(3, ".xisf")}
    vector = vector_of(blobs(), setBLOBVector("Dev", "image", {"file": b"old"}, about))
    assert upload(vector, b"data")[1].format == ".xisf"
    assert upload(vector, (b"data", ".fits"))[1].format == ".fits"


def test_a_file_has_the_format_of_its_name(tmp_path: Path) -> None:
    path = tmp_path / "dark.fits"
    path.write_bytes(b"dark")
    assert upload(vector_of(blobs()), path) == (b"dark", SizeFormat(4, ".fits"))
    assert upload(vector_of(blobs()), str(path)) == (b"dark", SizeFormat(4, ".fits"))
    assert upload(vector_of(blobs()), io.BytesIO(b"open"))[0] == b"open"


def test_only_bytes_are_at_hand(tmp_path: Path) -> None:
    vector = vector_of(blobs())
    assert Upload(vector, {"file": b"data"}).at_hand
    assert not Upload(vector, {"file": tmp_path}).at_hand


@pytest.mark.parametrize("value", [None, 5, (None, ".fits"), io.StringIO("text")])
def test_a_value_that_is_no_blob_cannot_be_set(value: Any) -> None:
    with pytest.raises(TypeError, match="file"):
        Upload(vector_of(blobs()), {"file": value})


def test_a_blob_that_is_read_only_cannot_be_set() -> None:
    with pytest.raises(ConfigurationError, match="read-only"):
        request(blobs(perm=Permission.RO), file=b"data")


def test_a_number_without_a_reading_is_not_sent_with_the_others() -> None:
    assert request(numbers({"x": 1.0, "y": NO_READING}), x=5) == {"x": 5.0}
