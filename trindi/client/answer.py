"""What a device answers to a request. This module knows values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trindi.protocol import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trindi.protocol import Message


@dataclass(frozen=True, slots=True)
class Answer:
    """What a device has said in the end to a request.

    Attributes:
        state: Ok or Idle.
        was_busy: it has said Busy before.
        messages: what the device has said since the request, the oldest first.
        differences: the members that came back with another value than the one asked for, beyond
            what the format rounds; each with the two, ``(asked for, reported)``.
    """

    state: State
    was_busy: bool
    messages: tuple[Message, ...]
    differences: Mapping[str, tuple[Any, Any]]

    @property
    def done(self) -> bool:
        """Whether the values are those asked for, or the device was Busy with it, and says Ok.

        An exposure has counted down by then, and a mount stands near enough. A device that refuses
        without an Alert says Idle or Ok at once, with the values of before.
        """
        return not self.differences or (self.was_busy and self.state is State.OK)
