"""What a client has asked for, so that it can be asked for again. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trindi.errors import ConfigurationError
from trindi.protocol import BLOBPolicy, enableBLOB, getProperties

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trindi.protocol import setBLOBVector

__all__ = ["Wishes"]


class Wishes:
    """The definitions and the BLOBs that a client wants.

    Args:
        ask_for: devices, or pairs of device and property; all where none is named.

    Attributes:
        unasked: how many BLOBs came that nobody wants.
    """

    def __init__(self, ask_for: Iterable[str | tuple[str, str | None]] = ()) -> None:
        self._asked: dict[getProperties, None] = {}
        self._policies: dict[tuple[str, str | None], BLOBPolicy] = {}
        self.unasked = 0
        if isinstance(ask_for, str):
            raise ConfigurationError(f"ask_for is a list: write ask_for=[{ask_for!r}]")
        for one in ask_for:
            if not isinstance(one, (str, tuple)):
                raise TypeError(
                    f"ask_for has devices, or pairs of device and property, not {one!r}"
                )
            self.add(*((one, None) if isinstance(one, str) else one))
        if not self._asked:
            self.add(None, None)

    def add(self, devicename: str | None, vectorname: str | None) -> getProperties:
        """Note that definitions are wanted, and return the question.

        Raises:
            ValueError: a property without its device.
        """
        if devicename is None and vectorname is not None:
            raise ConfigurationError(f"name the device of {vectorname!r}")
        question = getProperties(devicename, vectorname)
        self._asked[question] = None
        return question

    def set_policy(self, devicename: str, vectorname: str | None, policy: str) -> enableBLOB:
        """Note what is wanted of BLOBs, and return the request; the last one said wins.

        Raises:
            ValueError: the policy is none.
        """
        try:
            chosen = BLOBPolicy(policy)
        except ValueError:
            raise ConfigurationError(
                f"{policy!r} is no BLOB policy: use 'Never', 'Also' or 'Only'"
            ) from None
        if vectorname is None:
            # What is said of a device is newer than what was said of its properties.
            for place in [place for place in self._policies if place[0] == devicename]:
                del self._policies[place]
        self._policies[devicename, vectorname] = chosen
        return enableBLOB(devicename, vectorname, chosen)

    def requests(self) -> list[getProperties | enableBLOB]:
        """All that is to be asked for on a new connection."""
        policies = [enableBLOB(*place, policy) for place, policy in self._policies.items()]
        return [*self._asked, *policies]

    def policy(self, devicename: str, vectorname: str | None = None) -> BLOBPolicy:
        """What is wanted of BLOBs: of a property, what was said of it, or of its device."""
        policies = self._policies
        of_device = policies.get((devicename, None), BLOBPolicy.NEVER)
        return policies.get((devicename, vectorname), of_device)

    def wants(self, devicename: str, vectorname: str) -> bool:
        """Whether BLOBs of a property are wanted."""
        return self.policy(devicename, vectorname) is not BLOBPolicy.NEVER

    def filtered(self, event: setBLOBVector) -> setBLOBVector:
        """Return the event without its BLOBs if they are not wanted.

        A server that sends them all the same must not fill the memory with them.
        """
        if not event.members or self.wants(event.devicename, event.vectorname):
            return event
        self.unasked += 1
        return replace(event, members={}, sizeformat={})
