"""A dome with a vector of each kind, which takes over what clients ask for."""

from trindi import (
    BLOBMember,
    BLOBVector,
    ClientEvent,
    Device,
    IPyDriver,
    LightMember,
    LightVector,
    NewVector,
    NumberMember,
    NumberVector,
    SwitchMember,
    SwitchVector,
    TextMember,
    TextVector,
)


class Dome(IPyDriver):
    async def clientevent(self, event: ClientEvent) -> None:
        if isinstance(event, NewVector):
            event.vector.update(event)
            await event.vector.send_setVector(state="Ok")


def make_driver() -> Dome:
    shutter = SwitchVector(
        "SHUTTER",
        "Shutter",
        "Main",
        perm="rw",
        rule="OneOfMany",
        switchmembers=[SwitchMember("OPEN", "Open"), SwitchMember("CLOSED", "Closed", "On")],
    )
    operator = TextVector(
        "OPERATOR", "Operator", "Main", perm="rw", textmembers=[TextMember("NAME", "Name")]
    )
    azimuth = NumberMember("AZIMUTH", "Azimuth", format="%10.6m", min=0, max=360)
    position = NumberVector("POSITION", "Position", "Main", perm="rw", numbermembers=[azimuth])
    health = LightVector(
        "HEALTH",
        "Health",
        "Main",
        lightmembers=[LightMember("MOTOR", "Motor", "Ok"), LightMember("RAIN", "Rain", "Idle")],
    )
    image = BLOBVector(
        "IMAGE", "Webcam", "Images", blobmembers=[BLOBMember("FRAME", blobformat=".jpg")]
    )
    dome = Device("Dome", properties=[shutter, operator, position, health, image])
    return Dome([dome])
