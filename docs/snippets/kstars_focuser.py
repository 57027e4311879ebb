"""A focuser that KStars finds, connects and moves."""

import trio

from trindi import (
    ClientEvent,
    Device,
    IPyDriver,
    NumberMember,
    NumberVector,
    SwitchMember,
    SwitchVector,
    TextMember,
    TextVector,
    newNumberVector,
    newSwitchVector,
)

FOCUSER = 8


class Focuser(IPyDriver):
    move: trio.CancelScope | None = None

    async def clientevent(self, event: ClientEvent) -> None:
        match event:
            case newSwitchVector(vectorname="CONNECTION") if event.get("CONNECT") == "On":
                await self.connect()
            case newSwitchVector(vectorname="CONNECTION"):
                await self.disconnect()
            case newNumberVector(vectorname="ABS_FOCUS_POSITION"):
                self.stop()
                self.move = trio.CancelScope()
                self.start_soon(self.go_to, event["FOCUS_ABSOLUTE_POSITION"], self.move)
            case newSwitchVector(vectorname="FOCUS_ABORT_MOTION"):
                self.stop()
                await self["Focuser"]["ABS_FOCUS_POSITION"].send_setVector(state="Idle")
                await event.vector.send_setVector(state="Ok")

    async def connect(self) -> None:
        device = self["Focuser"]
        # Open the hardware here. What it raises becomes the Alert that KStars waits for.
        device["CONNECTION"]["CONNECT"] = True
        await device["CONNECTION"].send_setVector("Connected", state="Ok")
        for name in ("ABS_FOCUS_POSITION", "FOCUS_ABORT_MOTION"):
            if not device[name].enable:
                device[name].enable = True
                await device[name].send_defVector()

    async def disconnect(self) -> None:
        device = self["Focuser"]
        self.stop()
        device["ABS_FOCUS_POSITION"].state = "Idle"
        device["CONNECTION"]["DISCONNECT"] = True
        await device["CONNECTION"].send_setVector("Disconnected", state="Idle")
        for name in ("ABS_FOCUS_POSITION", "FOCUS_ABORT_MOTION"):
            if device[name].enable:
                await device[name].send_delProperty()

    def stop(self) -> None:
        if self.move is not None:
            self.move.cancel()

    async def go_to(self, target: float, move: trio.CancelScope) -> None:
        position = self["Focuser"]["ABS_FOCUS_POSITION"]
        with move:
            await position.send_setVector(state="Busy")
            while (distance := target - position["FOCUS_ABSOLUTE_POSITION"]) != 0:
                await trio.sleep(0.25)
                position["FOCUS_ABSOLUTE_POSITION"] += max(-250, min(250, distance))
                await position.send_setVector()
            await position.send_setVector(state="Ok")


def make_driver() -> Focuser:
    connection = SwitchVector(
        "CONNECTION",
        "Connection",
        "Main Control",
        perm="rw",
        state="Idle",
        switchmembers=[
            SwitchMember("CONNECT", "Connect"),
            SwitchMember("DISCONNECT", "Disconnect", "On"),
        ],
    )
    about = {
        "DRIVER_NAME": "Focuser",
        "DRIVER_EXEC": "kstars_focuser.py",
        "DRIVER_VERSION": "1.0",
        "DRIVER_INTERFACE": str(FOCUSER),
    }
    info = TextVector(
        "DRIVER_INFO",
        "Driver Info",
        "General Info",
        textmembers=[TextMember(name, membervalue=text) for name, text in about.items()],
    )
    steps = NumberMember(
        "FOCUS_ABSOLUTE_POSITION", "Steps", "%.f", min=0, max=100000, step=1000, membervalue=50000
    )
    position = NumberVector(
        "ABS_FOCUS_POSITION",
        "Position",
        "Main Control",
        perm="rw",
        state="Idle",
        numbermembers=[steps],
    )
    abort = SwitchVector(
        "FOCUS_ABORT_MOTION",
        "Abort",
        "Main Control",
        perm="rw",
        rule="AtMostOne",
        state="Idle",
        switchmembers=[SwitchMember("ABORT", "Abort")],
    )
    # These are there only while the focuser is connected.
    position.enable = abort.enable = False
    return Focuser([Device("Focuser", properties=[connection, info, position, abort])])
