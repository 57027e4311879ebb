"""Checks and conversions that drivers and clients share, where members do not show them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trindi import Permission
from trindi.properties import (
    blob_format,
    check_sendable_text,
    convert_blob,
    convert_choice,
    is_allowed,
)


def test_a_text_that_xml_cannot_carry_is_refused() -> None:
    assert check_sendable_text("a\tb", "note") == "a\tb"
    with pytest.raises(ValueError, match="note: 'a\\\\x00' has control characters"):
        check_sendable_text("a\0", "note")
    with pytest.raises(TypeError, match="note is a str, not int"):
        check_sendable_text(1, "note")


@pytest.mark.parametrize(
    ("value", "low", "high", "allowed"),
    [(0, 0, 9, True), (9, 0, 9, True), (-1, 0, 9, False), (10, 0, 9, False), (10, 0, 0, True)],
)
def test_equal_limits_allow_every_value(
    value: float, low: float, high: float, allowed: Any
) -> None:
    assert is_allowed(value, low, high) is allowed


def test_the_format_of_a_blob_is_the_given_one_or_that_of_its_path() -> None:
    assert blob_format(".fits", Path("a.bin")) == ".fits"
    assert blob_format("", Path("a.fits"), ".raw") == ".fits"
    assert blob_format("", b"data", ".raw") == ".raw"
    assert blob_format("", Path("a."), ".raw") == ".raw"
    assert blob_format("", None) == ".bin"


def test_errors_name_what_may_be_written_instead() -> None:
    with pytest.raises(ValueError, match=r"^'x' is no permission: use 'ro', 'wo' or 'rw'$"):
        convert_choice(Permission, "x", "permission")
    with pytest.raises(TypeError, match=r"a BLOB is bytes, the path of a file, .* not NoneType"):
        convert_blob(None)
