"""Asks a telescope to move, and says what has come of it."""

import trio

from trindi import IPyClient, PropertyAlert, PropertyTimeout, State


async def slew(client: IPyClient, ra: float | str, dec: float | str) -> str:
    name = "Telescope Simulator"
    place = await client.wait_defined(name, "EQUATORIAL_EOD_COORD")
    try:
        with trio.fail_after(300):
            await place.set_and_wait(RA=ra, DEC=dec)
    except PropertyAlert as alert:
        return f"the telescope says: {alert.message}"
    except PropertyTimeout:
        return f"still moving after {place.timeout:g} seconds"
    except trio.TooSlowError:
        return "five minutes are enough"
    return f"at {place.members['RA'].formatted}, {place.members['DEC'].formatted}"


async def wait_until_cold(client: IPyClient) -> None:
    await client.wait_for(
        "CCD Simulator", "CCD_TEMPERATURE", lambda vector: vector["CCD_TEMPERATURE_VALUE"] < -9.5
    )
    await client.wait_state("CCD Simulator", "CCD_TEMPERATURE", {State.OK, State.IDLE})
