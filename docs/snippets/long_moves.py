"""A focuser: its moves are long, and a client can stop one at any moment."""

import trio

from trindi import (
    ClientEvent,
    Device,
    IPyDriver,
    NumberMember,
    NumberVector,
    SwitchMember,
    SwitchVector,
    newNumberVector,
    newSwitchVector,
)


class Focuser(IPyDriver):
    move: trio.CancelScope | None = None

    def stop(self) -> None:
        if self.move is not None:
            self.move.cancel()

    async def clientevent(self, event: ClientEvent) -> None:
        match event:
            case newNumberVector(vectorname="POSITION"):
                self.stop()
                self.move = trio.CancelScope()
                self.start_soon(self.go_to, event["STEPS"], self.move)
            case newSwitchVector(vectorname="ABORT"):
                self.stop()
                position = self["Focuser"]["POSITION"]
                await position.send_setVector("[INFO] The move is stopped", state="Idle")
                await event.vector.send_setVector(state="Ok")

    async def go_to(self, target: float, move: trio.CancelScope) -> None:
        position = self["Focuser"]["POSITION"]
        with move:
            distance = target - position["STEPS"]
            await position.send_setVector(state="Busy", timeout=abs(distance) / 100)
            while position["STEPS"] != target:
                await trio.sleep(0.1)
                distance = target - position["STEPS"]
                position["STEPS"] += max(-10, min(10, distance))
                await position.send_setVector()
            await position.send_setVector(state="Ok")


def make_driver() -> Focuser:
    steps = NumberMember("STEPS", "Steps", format="%5.0f", min=0, max=10000)
    position = NumberVector("POSITION", "Position", "Main", perm="rw", numbermembers=[steps])
    abort = SwitchVector(
        "ABORT",
        "Abort",
        "Main",
        perm="rw",
        rule="AtMostOne",
        switchmembers=[SwitchMember("ABORT", "Abort")],
    )
    return Focuser([Device("Focuser", properties=[position, abort])])
