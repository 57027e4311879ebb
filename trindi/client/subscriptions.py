"""What a client asks of its server, so that it is asked again on each new connection. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trindi.errors import ConfigurationError
from trindi.properties import convert_choice
from trindi.protocol import (
    BLOBPolicies,
    BLOBPolicy,
    enableBLOB,
    getProperties,
    replace,
    setBLOBVector,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


class Subscriptions:
    def __init__(self, ask_for: Iterable[str | tuple[str, str | None]] = ()) -> None:
        self._questions: dict[getProperties, None] = {}
        self._policies = BLOBPolicies(float("inf"))
        # How many BLOBs came that were not enabled.
        self.unrequested = 0
        if isinstance(ask_for, str):
            raise ConfigurationError(f"ask_for is a list: write ask_for=[{ask_for!r}]")
        for item in ask_for:
            if not isinstance(item, (str, tuple)):
                raise TypeError(
                    f"ask_for has devices, or pairs of device and property, not {item!r}"
                )
            self.add(*((item, None) if isinstance(item, str) else item))
        if not self._questions:
            self.add(None, None)

    def add(self, devicename: str | None, vectorname: str | None) -> getProperties:
        if devicename is None and vectorname is not None:
            raise ConfigurationError(f"name the device of {vectorname!r}")
        question = getProperties(devicename, vectorname)
        self._questions[question] = None
        return question

    def set_policy(self, devicename: str, vectorname: str | None, policy: str) -> enableBLOB:
        chosen = convert_choice(BLOBPolicy, policy, "BLOB policy")
        request = enableBLOB(devicename, vectorname, chosen)
        self._policies.set(request)
        return request

    def requests(self) -> list[getProperties | enableBLOB]:
        return [*self._questions, *self._policies]

    def policy(self, devicename: str, vectorname: str | None = None) -> BLOBPolicy:
        """Return the BLOB policy of a property, which may be that of its device."""
        return self._policies.find(devicename, vectorname)

    def wants_blobs(self, devicename: str, vectorname: str) -> bool:
        return self.policy(devicename, vectorname) is not BLOBPolicy.NEVER

    def filter_blobs(self, event: setBLOBVector) -> setBLOBVector:
        """Return the event without BLOBs that are not enabled: they must not fill the memory."""
        if not event.members or self.wants_blobs(event.devicename, event.vectorname):
            return event
        self.unrequested += 1
        return replace(event, members={}, sizeformat={})
