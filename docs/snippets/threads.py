"""A light meter whose library blocks: it is called in a worker thread."""

import time

import trio

from trindi import Device, IPyDriver, NumberMember, NumberVector


class Meter:
    """Stands for a library that knows nothing of Trio, and takes its time."""

    def read(self) -> float:
        time.sleep(0.05)
        return 21.4


class LightMeter(IPyDriver):
    async def hardware(self) -> None:
        meter = self.driverdata["meter"]
        vector = self["Light Meter"]["SKY"]
        one_at_a_time = trio.CapacityLimiter(1)
        while True:
            with trio.move_on_after(10) as deadline:
                vector["BRIGHTNESS"] = await trio.to_thread.run_sync(
                    meter.read, abandon_on_cancel=True, limiter=one_at_a_time
                )
                await vector.send_setVector(state="Ok")
            if deadline.cancelled_caught:
                await vector.send_setVector("[ERROR] The meter does not answer", state="Alert")
            await trio.sleep(60)


def make_driver(meter: Meter | None = None) -> LightMeter:
    brightness = NumberMember("BRIGHTNESS", "mag/arcsec²", format="%.2f")
    sky = NumberVector("SKY", "Sky", "Main", state="Idle", numbermembers=[brightness])
    return LightMeter([Device("Light Meter", properties=[sky])], meter=meter or Meter())
