"""The thermostat in virtual time: a day of it takes a moment."""

import pytest
import trio
import trio.testing
from thermo import make_driver

from trindi import Event, newNumberVector, setNumberVector
from trindi.transport import Bundle


class Client:
    """What a running driver talks to; this one keeps all it is told."""

    def __init__(self) -> None:
        self.told: list[Event] = []

    def publish(self, event: Event) -> None:
        self.told.append(event)

    async def publish_blob(self, event: Event) -> None:
        self.told.append(event)

    def reply(self, event: Event) -> None:
        self.told.append(event)

    def forward(self, bundle: Bundle) -> None:
        self.told += [parcel.event for parcel in bundle.parcels]

    def begin(self) -> None:
        """A request is being worked on."""

    def done(self) -> None:
        """It no longer is."""

    def reports(self, vectorname: str) -> list[setNumberVector]:
        sets = [event for event in self.told if isinstance(event, setNumberVector)]
        return [event for event in sets if event.vectorname == vectorname]


@pytest.mark.trio
async def test_the_room_stays_near_its_target(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    driver, client = make_driver(), Client()
    await nursery.start(driver.serve, client)
    await trio.sleep(24 * 3600)
    temperatures = [report["temperature"] for report in client.reports("temperaturevector")]
    assert len(temperatures) > 8000
    assert all(14.3 < temperature < 15.7 for temperature in temperatures[60:])


@pytest.mark.trio
async def test_a_client_sets_the_target(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    driver, client = make_driver(), Client()
    await nursery.start(driver.serve, client)
    driver.receive(newNumberVector("Thermostat", "targetvector", {"target": 18.0}), client)
    await trio.sleep(3600)
    assert client.reports("targetvector")[-1]["target"] == 18.0
    assert 17.3 < client.reports("temperaturevector")[-1]["temperature"] < 18.7


@pytest.mark.trio
async def test_a_target_out_of_range_is_refused(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    driver, client = make_driver(), Client()
    await nursery.start(driver.serve, client)
    driver.receive(newNumberVector("Thermostat", "targetvector", {"target": 90.0}), client)
    await trio.sleep(1)
    (refusal,) = client.reports("targetvector")
    assert refusal.state == "Alert"
    assert refusal["target"] == 15.0
    assert "90 is not within 5 and 30" in refusal.message
