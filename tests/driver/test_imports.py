"""What importing the driver's package loads."""

from __future__ import annotations

import subprocess
import sys


def test_importing_the_driver_loads_no_floor_above_it() -> None:
    program = "import sys, trindi.driver; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )
    loaded = set(run.stdout.split())
    assert "trindi.driver.driver" in loaded
    above = {f"trindi.{name}" for name in ("server", "client", "host", "recording", "cli")}
    assert not loaded & above
