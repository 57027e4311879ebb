"""Base64 and zlib (protocol §4)."""

import base64
import zlib

import pytest
from hypothesis import given, strategies as st

from trindi.protocol import Base64, compress, decode_base64, decompress, plain_format


@given(st.binary() | st.integers(0, 200_000).map(bytes))
def test_base64_there_and_back(data: bytes) -> None:
    line = Base64(data)
    encoded = b"".join(line.pieces())
    assert encoded == base64.b64encode(data)
    assert len(line) == len(encoded)
    assert decode_base64(encoded) == data
    assert decode_base64(memoryview(encoded)) == data


@given(st.binary(min_size=1), st.integers(1, 80), st.sampled_from([b"\n", b"\r\n", b" ", b"\t"]))
def test_white_space_anywhere(data: bytes, width: int, blank: bytes) -> None:
    encoded = base64.b64encode(data)
    lines = [encoded[at : at + width] for at in range(0, len(encoded), width)]
    assert decode_base64(blank + blank.join(lines) + blank) == data


@pytest.mark.parametrize(
    "payload",
    [
        *(b"A", b"AA", b"AAA", b"A===", b"AAAA=", b"AA=A", b"=AAA", b"AA==AAAA", b"AAA!", b"A-_A"),
        *(b"AAAA\0", b"\0", b"AAAA&#10;", "ÀAAA".encode(), b"AA\x0bAA"),
    ],
)
def test_no_base64(payload: bytes) -> None:
    with pytest.raises(ValueError, match="not base64"):
        decode_base64(payload)


def test_the_format_of_what_was_compressed() -> None:
    assert plain_format(".fits.z") == plain_format(".fits") == ".fits"


@given(st.binary(), st.integers(0, 100))
def test_compression_there_and_back(data: bytes, more: int) -> None:
    compressed = compress(data)
    assert zlib.decompress(compressed) == data
    assert decompress(compressed, len(data) + more) == data


@given(st.binary(min_size=1))
def test_decompression_is_bounded(data: bytes) -> None:
    with pytest.raises(ValueError, match="decompresses to more than the"):
        decompress(compress(data), len(data) - 1)


def test_a_bomb() -> None:
    with pytest.raises(ValueError, match="more than the 10 bytes"):
        decompress(zlib.compress(bytes(50_000_000)), 10)


@pytest.mark.parametrize("data", [b"", b"x", b"no zlib stream", zlib.compress(b"abc")[:-1]])
def test_no_compression(data: bytes) -> None:
    with pytest.raises(ValueError, match="zlib stream"):
        decompress(data, 100)
