"""The lamp: one switch On, the other Off, and the light follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import led
from tests.kit.examples import attach
from trindi import State, SwitchState, newSwitchVector, setLightVector, setSwitchVector

if TYPE_CHECKING:
    import trio
    import trio.testing


def wish(**switches: str) -> newSwitchVector:
    states = {name: SwitchState(state) for name, state in switches.items()}
    return newSwitchVector("LED", "LED_SWITCH", states)


async def test_the_light_follows_the_switch(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    client = await attach(nursery, led.make_driver())
    for name, other, light in (
        ("LED_ON", "LED_OFF", State.OK),
        ("LED_OFF", "LED_ON", State.IDLE),
    ):
        await client.send(wish(**{name: "On"}))
        answer = await client.next(setSwitchVector)
        assert dict(answer) == {name: "On", other: "Off"}
        # What goes Off stands first, so that a client never shows two switches On.
        assert list(answer) == [other, name]
        assert (await client.next(setLightVector))["LED"] is light


@pytest.mark.parametrize("switches", [{"LED_ON": "On", "LED_OFF": "On"}, {"LED_OFF": "Off"}])
async def test_what_is_no_choice_of_one_is_refused(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, switches: dict[str, str]
) -> None:
    client = await attach(nursery, led.make_driver())
    await client.send(wish(**switches))
    answer = await client.next(setSwitchVector)
    assert answer.state is State.ALERT
    assert dict(answer) == {"LED_ON": "Off", "LED_OFF": "On"}
