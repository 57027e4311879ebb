"""Parameters that are numbers within a range. Help names what they are, and errors the range."""

from __future__ import annotations

import math
from typing import Any, Final

import click

__all__ = ["COUNT", "FACTOR", "LISTEN_PORT", "PORT", "SECONDS", "SOME_SECONDS"]


class _Within(click.ParamType):  # type: ignore[type-arg]  # generic in some versions
    """A number within a range.

    Args:
        name: what stands for it in the help.
        numbers: those that there are.
    """

    def __init__(self, name: str, numbers: click.IntRange | click.FloatRange) -> None:
        self.name = name
        self._numbers = numbers

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Read it; what is no number at all is wrong usage."""
        number = self._numbers.convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


PORT: Final = _Within("port", click.IntRange(1, 65535))
LISTEN_PORT: Final = _Within("port", click.IntRange(0, 65535))
COUNT: Final = _Within("count", click.IntRange(min=1))
SECONDS: Final = _Within("seconds", click.FloatRange(min=0))
SOME_SECONDS: Final = _Within("seconds", click.FloatRange(min=0, min_open=True))
FACTOR: Final = _Within("factor", click.FloatRange(min=0, min_open=True))
