"""A camera: it sends a picture after each exposure, and takes a flat field from a client."""

import trio

from trindi import (
    BLOBMember,
    BLOBVector,
    ClientEvent,
    Device,
    IPyDriver,
    NumberMember,
    NumberVector,
    newBLOBVector,
    newNumberVector,
)


def read_sensor() -> bytes:
    """Stands for the camera's library; a real one would make a FITS file."""
    return bytes(range(256)) * 256


class Camera(IPyDriver):
    async def clientevent(self, event: ClientEvent) -> None:
        match event:
            case newNumberVector(vectorname="EXPOSURE"):
                event.vector.update(event)
                await self.expose(event["SECONDS"])
            case newBLOBVector(vectorname="FLAT") if "FILE" in event:
                size, suffix = event.sizeformat["FILE"]
                self.driverdata["flat"] = event["FILE"]
                text = f"[INFO] The flat field has {size} bytes ({suffix})"
                await event.vector.send_setVectorMembers(text, state="Ok")

    async def expose(self, seconds: float) -> None:
        exposure, image = self["Camera"]["EXPOSURE"], self["Camera"]["IMAGE"]
        await exposure.send_setVector(state="Busy", timeout=seconds + 5)
        await trio.sleep(seconds)
        image["FRAME"] = await trio.to_thread.run_sync(read_sensor)
        await image.send_setVectorMembers(state="Ok", members=["FRAME"])
        await exposure.send_setVector(state="Ok")


def make_driver() -> Camera:
    seconds = NumberMember("SECONDS", "Seconds", format="%.1f", min=0, max=3600)
    frame = BLOBMember("FRAME", "Frame", blobformat=".fits.z")
    camera = Device(
        "Camera",
        properties=[
            NumberVector("EXPOSURE", "Exposure", "Main", perm="rw", numbermembers=[seconds]),
            BLOBVector("IMAGE", "Image", "Main", perm="ro", blobmembers=[frame]),
            BLOBVector("FLAT", "Flat field", "Main", perm="wo", blobmembers=[BLOBMember("FILE")]),
        ],
    )
    return Camera([camera])
