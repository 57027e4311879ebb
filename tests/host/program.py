"""A driver program that does what its words, and its clients, tell it."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time

import trio

from trindi import (
    BLOBMember,
    BLOBVector,
    Device,
    IPyDriver,
    NumberMember,
    NumberVector,
    TextMember,
    TextVector,
    newBLOBVector,
    newTextVector,
)
from trindi.protocol import ClientEvent, SnoopEvent, enableBLOB, setBLOBVector, setNumberVector

CHILD = "import sys; print('<child', repr(sys.stdin.read()), flush=True)"


class ProbeDriver(IPyDriver):
    """Answers, prints, logs, starts programs, hangs and fails, as it is told."""

    async def hardware(self) -> None:
        if "snoop" in sys.argv:
            await self.send_getProperties("Other", "reading")
            await self.send_getProperties("Other", "image")
            await self.send_enableBLOB("Other", "image")
        if "fail" in sys.argv:
            raise RuntimeError("the hardware is on fire")
        if "fail-late" in sys.argv:
            await self.send_message("so far, so good")
            raise RuntimeError("x" * 3000)
        try:
            print("hardware runs")
            await trio.sleep_forever()
        finally:
            if "clean-up" in sys.argv:
                await self.clean_up()

    @staticmethod
    async def clean_up() -> None:
        """Give the instrument time, as it is allowed to; signals go on coming."""
        with trio.move_on_after(30, shield=True):
            print("cleaning up")
            for number in (signal.SIGTERM, signal.SIGINT) * 2:
                os.kill(os.getpid(), number)
                await trio.sleep(0.01)
            print("clean")

    async def clientevent(self, event: ClientEvent) -> None:
        match event:
            case newTextVector(vector=vector) if "text" in event:
                await self.act(event["text"])
                vector["text"] = event["text"]
                await vector.send_setVector()
            case newBLOBVector(vector=vector):
                for name, payload in event.items():
                    vector[name] = payload
                await vector.send_setVectorMembers(members=list(event))
            case enableBLOB():
                await self.send_message(f"told of {event.policy}")

    async def act(self, word: str) -> None:
        match word:
            case "print":
                print("<printed by Python", flush=True)
                sys.__stdout__.write("<printed past the guard\n")  # type: ignore[union-attr]
                os.write(1, b"<printed by C\n")
            case "child":
                subprocess.run([sys.executable, "-c", CHILD], check=True)  # noqa: ASYNC221
            case "log":
                logging.getLogger("author").warning("logged %s", "é" * 3000)
            case "flood":
                for number in range(3000):
                    logging.getLogger("author").warning("line %d %s", number, "x" * 500)
            case "turns":
                for _ in range(20):
                    await trio.lowlevel.checkpoint()
            case "hang":
                print("hanging")
                await trio.sleep_forever()
            case "thread":
                print("hanging")
                await trio.to_thread.run_sync(time.sleep, 3600, abandon_on_cancel=True)

    async def snoopevent(self, event: SnoopEvent) -> None:
        match event:
            case setNumberVector():
                await self.send_message(f"heard {event['value']}")
            case setBLOBVector():
                await self.send_message(f"heard {len(event['frame'])} bytes {event['frame'][:4]!r}")


def make_driver() -> ProbeDriver:
    text = TextVector(name="text", perm="rw", textmembers=[TextMember("text")])
    number = NumberVector(name="number", perm="rw", numbermembers=[NumberMember("value")])
    blobs = [BLOBMember("first"), BLOBMember("second")]
    image = BLOBVector(name="image", perm="rw", blobmembers=blobs)
    return ProbeDriver(devices=[Device("Probe", [text, number, image])])


def main() -> None:
    # Whoever runs the tests in the background has its children ignore Ctrl-C.
    handler = signal.SIG_IGN if "ignore" in sys.argv else signal.default_int_handler
    signal.signal(signal.SIGINT, handler)
    handler_of_its_own = logging.StreamHandler(sys.stderr)
    logging.getLogger("author").addHandler(handler_of_its_own)
    logging.getLogger("author").propagate = False
    if "talk" in sys.argv:
        print("<printed before")
    driver = make_driver()
    if "in-thread" in sys.argv:
        thread = threading.Thread(target=trio.run, args=(driver.run,))
        thread.start()
        thread.join()
    else:
        trio.run(driver.run)
    if "talk" in sys.argv:
        print("printed after")


if __name__ == "__main__":
    main()
