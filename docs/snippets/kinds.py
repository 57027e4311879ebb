"""A dome with a vector of each kind: switches, texts, numbers, lights and BLOBs."""

from trindi import (
    BLOBMember,
    BLOBVector,
    Device,
    IPyDriver,
    LightMember,
    LightVector,
    NumberMember,
    NumberVector,
    SwitchMember,
    SwitchVector,
    TextMember,
    TextVector,
)


def make_driver() -> IPyDriver:
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
    return IPyDriver([dome])
