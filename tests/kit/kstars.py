"""KStars on a screen that nobody sees, asked by D-Bus, as a program of this machine.

It has a home, a screen and a bus of its own. It cannot be told by D-Bus to send a request: KStars
3.6.2 crashes when `sendProperty` is called. So the tests ask the server themselves.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any, Final

from tests.kit.processes import DEADLINE, wait_until

if TYPE_CHECKING:
    from pathlib import Path

PROGRAMS: Final = ("kstars", "qdbus", "Xvfb", "dbus-daemon")


def missing() -> str:
    """Name what is not installed, or ""."""
    return ", ".join(program for program in PROGRAMS if shutil.which(program) is None)


class KStars:
    """A KStars that is running; `close` ends it."""

    def __init__(self, directory: Path) -> None:
        self._log = directory / "kstars.log"
        self._started: list[subprocess.Popen[bytes]] = []
        self._environment = {
            **os.environ,
            "HOME": str(directory),
            "XDG_RUNTIME_DIR": str(directory),
            "XDG_CONFIG_HOME": str(directory),
            "LIBGL_ALWAYS_SOFTWARE": "1",
        }
        (directory / "kstarsrc").write_text("[General]\nRunStartupWizard=false\n")
        directory.chmod(0o700)
        try:
            screen = self._said("Xvfb", "-displayfd", "1", "-screen", "0", "1600x1000x24")
            self._environment["DISPLAY"] = f":{screen}"
            bus = self._said("dbus-daemon", "--session", "--nofork", "--print-address=1")
            self._environment["DBUS_SESSION_BUS_ADDRESS"] = bus
            with self._log.open("wb") as log:
                self._start("kstars", "--paused", stdout=log, stderr=log)
            wait_until(lambda: "connect" in self._call(), "KStars is there", 2 * DEADLINE)
        except BaseException:
            self.close()
            raise

    def connect(self, port: int) -> None:
        """Connect to a server of this machine."""
        assert self._ask("connect", "127.0.0.1", str(port)) == ["true"]

    def devices(self) -> list[str]:
        """Return the names of the devices that it shows."""
        return self._ask("getDevices")

    def members(self, device: str) -> list[str]:
        """Return the names of all members of a device, each with device and property."""
        return self._ask("getProperties", device)

    def state(self, device: str, name: str) -> str:
        """Return the state of a property."""
        return "".join(self._ask("getPropertyState", device, name))

    def number(self, device: str, name: str, member: str) -> str:
        """Return a number as it writes it."""
        return "".join(self._ask("getNumber", device, name, member))

    def messages(self, device: str) -> list[str]:
        """Return the messages of a device that it has shown: it logs each."""
        head = f"org.kde.kstars.indi: {device} : "
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return [line.removeprefix(head).strip(' "') for line in lines if line.startswith(head)]

    def close(self) -> None:
        """End what was started, the newest first."""
        for process in reversed(self._started):
            process.kill()
            process.communicate()

    def _ask(self, method: str, *arguments: str) -> list[str]:
        return self._call(f"org.kde.kstars.INDI.{method}", *arguments).splitlines()

    def _call(self, *arguments: str) -> str:
        return subprocess.run(
            ["qdbus", "org.kde.kstars", "/KStars/INDI", *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=DEADLINE,
            check=False,
        ).stdout

    def _said(self, *command: str) -> str:
        """Start a program, and return the line that it writes when it is ready."""
        process = self._start(*command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        return process.stdout.readline().decode().strip()

    def _start(self, *command: str, **files: Any) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command, env=self._environment, stdin=subprocess.DEVNULL, **files
        )
        self._started.append(process)
        return process
