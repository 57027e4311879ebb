"""A focuser: a move takes long, and an abort overtakes it."""

import trio

from trindi import (
    ClientEvent,
    Device,
    IPyDriver,
    IPyServer,
    NumberMember,
    NumberVector,
    SwitchMember,
    SwitchVector,
    newNumberVector,
    newSwitchVector,
)

STEPS_PER_SECOND = 1000
REPORT_SECONDS = 0.5


class Focuser(IPyDriver):
    """A simulated motor, with the property names of the INDI focusers."""

    def __init__(self) -> None:
        self.position = NumberVector(
            "ABS_FOCUS_POSITION",
            "Absolute Position",
            "Main Control",
            perm="rw",
            state="Idle",
            numbermembers=[
                NumberMember(
                    "FOCUS_ABSOLUTE_POSITION",
                    "Steps",
                    "%.f",
                    max=100_000,
                    step=1000,
                    membervalue=50_000,
                ),
            ],
        )
        self.abort = SwitchVector(
            "FOCUS_ABORT_MOTION",
            "Abort Motion",
            "Main Control",
            perm="rw",
            rule="AtMostOne",
            state="Idle",
            switchmembers=[SwitchMember("ABORT", "Abort")],
        )
        self.motion = trio.CancelScope()
        super().__init__([Device("Focuser", [self.position, self.abort])])

    async def clientevent(self, event: ClientEvent) -> None:
        """Start a move, or stop the one that is under way."""
        match event:
            case newNumberVector(vectorname="ABS_FOCUS_POSITION"):
                # A new move takes the place of the old one.
                self.motion.cancel()
                self.motion = trio.CancelScope()
                await self.position.send_setVector(state="Busy")
                self.start_soon(self.move, event["FOCUS_ABSOLUTE_POSITION"], self.motion)
            case newSwitchVector(vectorname="FOCUS_ABORT_MOTION"):
                self.motion.cancel()
                await self.position.send_setVector(state="Idle")
                # The switch is a button: it springs back.
                await self.abort.send_setVector(state="Ok")

    async def move(self, target: float, motion: trio.CancelScope) -> None:
        """Go there, and say again and again how far it has come; cancelled, stand still."""
        stride = STEPS_PER_SECOND * REPORT_SECONDS
        with motion:
            while (way := target - self.position["FOCUS_ABSOLUTE_POSITION"]) != 0:
                await trio.sleep(REPORT_SECONDS)
                self.position["FOCUS_ABSOLUTE_POSITION"] += max(-stride, min(stride, way))
                await self.position.send_setVector()
            await self.position.send_setVector(state="Ok")


def make_driver() -> Focuser:
    """Return the driver."""
    return Focuser()


if __name__ == "__main__":
    trio.run(IPyServer([make_driver()]).run)
