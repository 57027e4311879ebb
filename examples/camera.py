"""A camera: it exposes, counts down, and sends the image; an abort stops it at any moment.

It takes BLOBs as well: a dark frame that a client uploads.
"""

import hashlib

import trio

from trindi import (
    BLOBMember,
    BLOBVector,
    ClientEvent,
    Device,
    IPyDriver,
    IPyServer,
    NumberMember,
    NumberVector,
    SwitchMember,
    SwitchVector,
    TextMember,
    TextVector,
    newBLOBVector,
    newNumberVector,
    newSwitchVector,
)

LARGEST_FRAME = 4096
FITS_BLOCK = 2880

# The simulated sky grows brighter by one with each pixel to the right, and with each row.
SKY = b"".join(brightness.to_bytes(2, "big") for brightness in range(4 * LARGEST_FRAME))


class Camera(IPyDriver):
    """A simulated camera, with the property names of the INDI cameras."""

    def __init__(self) -> None:
        self.exposure = NumberVector(
            "CCD_EXPOSURE",
            "Expose",
            "Main Control",
            perm="rw",
            state="Idle",
            numbermembers=[
                NumberMember("CCD_EXPOSURE_VALUE", "Duration (s)", "%5.2f", max=3600, step=1),
            ],
        )
        self.abort = SwitchVector(
            "CCD_ABORT_EXPOSURE",
            "Expose Abort",
            "Main Control",
            perm="rw",
            rule="AtMostOne",
            state="Idle",
            switchmembers=[SwitchMember("ABORT", "Abort")],
        )
        self.frame = NumberVector(
            "CCD_FRAME",
            "Frame",
            "Image Settings",
            perm="rw",
            numbermembers=[
                NumberMember("X", "Left", "%4.0f", max=LARGEST_FRAME),
                NumberMember("Y", "Top", "%4.0f", max=LARGEST_FRAME),
                NumberMember("WIDTH", "Width", "%4.0f", 1, LARGEST_FRAME, membervalue=640),
                NumberMember("HEIGHT", "Height", "%4.0f", 1, LARGEST_FRAME, membervalue=480),
            ],
        )
        self.image = BLOBVector(
            "CCD1",
            "Image Data",
            "Image Info",
            state="Idle",
            blobmembers=[BLOBMember("CCD1", "Image", blobformat=".fits")],
        )
        self.dark = BLOBVector(
            "DARK_FRAME",
            "Dark Frame",
            "Image Settings",
            perm="wo",
            state="Idle",
            blobmembers=[BLOBMember("DARK", "Dark frame")],
        )
        self.dark_info = TextVector(
            "DARK_FRAME_INFO",
            "Dark Frame",
            "Image Info",
            state="Idle",
            textmembers=[TextMember("SIZE", "Bytes"), TextMember("SHA256", "SHA-256")],
        )
        self.exposing = trio.CancelScope()
        super().__init__(
            [
                Device(
                    "Camera",
                    [
                        self.exposure,
                        self.abort,
                        self.frame,
                        self.image,
                        self.dark,
                        self.dark_info,
                    ],
                )
            ]
        )

    async def clientevent(self, event: ClientEvent) -> None:
        """Do what the client asks; an exposure goes on after this has returned."""
        match event:
            case newNumberVector(vectorname="CCD_EXPOSURE"):
                # A new exposure takes the place of the old one.
                self.exposing.cancel()
                self.exposing = trio.CancelScope()
                self.exposure.update(event)
                await self.exposure.send_setVector(state="Busy")
                self.start_soon(self.expose, self.exposing)
            case newSwitchVector(vectorname="CCD_ABORT_EXPOSURE"):
                self.exposing.cancel()
                await self.exposure.send_setVector(state="Idle")
                # The switch is a button: it springs back.
                await self.abort.send_setVector(state="Ok")
            case newNumberVector(vectorname="CCD_FRAME"):
                self.frame.update(event)
                await self.frame.send_setVector(state="Ok")
            case newBLOBVector(vectorname="DARK_FRAME"):
                await self.take_dark(event["DARK"])

    async def expose(self, exposing: trio.CancelScope) -> None:
        """Count the seconds down, send the image; cancelled, send nothing more."""
        seconds = self.exposure["CCD_EXPOSURE_VALUE"]
        with exposing:
            await self.count_down(seconds)
            self.image["CCD1"] = self.read_out(seconds)
            await self.image.send_setVectorMembers(state="Ok", members=["CCD1"])
            await self.exposure.send_setVector(state="Ok")

    async def count_down(self, seconds: float) -> None:
        """Report each second how many are left."""
        end = trio.current_time() + seconds
        while (left := end - trio.current_time()) > 0:
            await trio.sleep(min(left, 1))
            self.exposure["CCD_EXPOSURE_VALUE"] = max(0, end - trio.current_time())
            await self.exposure.send_setVector()

    def read_out(self, seconds: float) -> bytes:
        """Return the part of the sky that the frame shows, as FITS."""
        x, y, width, height = (round(value) for value in self.frame.values())
        rows = [SKY[2 * start : 2 * (start + width)] for start in range(x + y, x + y + height)]
        return fits(width, height, seconds, b"".join(rows))

    async def take_dark(self, dark: bytes) -> None:
        """Take an uploaded dark frame, and say what has arrived."""
        self.dark["DARK"] = dark
        await self.dark.send_setVectorMembers(state="Ok")
        self.dark_info["SIZE"] = str(len(dark))
        self.dark_info["SHA256"] = hashlib.sha256(dark).hexdigest()
        await self.dark_info.send_setVector(state="Ok")


def fits(width: int, height: int, seconds: float, pixels: bytes) -> bytes:
    """Return a FITS file of one image: a header and big-endian pixels, both in whole blocks."""
    header = {
        "SIMPLE": "T",
        "BITPIX": 16,
        "NAXIS": 2,
        "NAXIS1": width,
        "NAXIS2": height,
        "EXPTIME": seconds,
    }
    cards = "".join(f"{key:8}= {value!s:>20}".ljust(80) for key, value in header.items())
    pixels += bytes(-len(pixels) % FITS_BLOCK)
    return f"{cards}END".ljust(FITS_BLOCK).encode("ascii") + pixels


def make_driver() -> Camera:
    """Return the driver."""
    return Camera()


if __name__ == "__main__":
    trio.run(IPyServer([make_driver()]).run)
