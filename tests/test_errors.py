"""Whose fault an error is."""

from trindi.errors import ConfigurationError, ProtocolError, TrindiError


def test_an_author_may_catch_a_value_error() -> None:
    assert issubclass(ConfigurationError, ValueError)
    assert issubclass(ConfigurationError, TrindiError)
    assert not issubclass(ProtocolError, ValueError)


def test_a_protocol_error_says_where() -> None:
    error = ProtocolError("too large", element="message", offset=7, devicename="d")
    assert str(error) == "<message> at byte 7: too large"
    assert (error.element, error.offset, error.devicename) == ("message", 7, "d")
    assert error.vectorname is None
    assert error.events == ()


def test_a_protocol_error_between_elements() -> None:
    assert str(ProtocolError("refused", offset=7)) == "byte 7: refused"
