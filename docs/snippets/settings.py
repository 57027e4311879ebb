"""Settings that outlive the driver: one small JSON file."""

import json
import os
from pathlib import Path
from typing import Any

import trio


class Settings:
    """Values by name, kept in a file. A file that is missing or broken counts as empty."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.values: dict[str, Any] = dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            self.values = {}

    async def save(self, **changes: Any) -> None:
        """Change some values, and write all of them."""
        self.values |= changes
        text = json.dumps(self.values, indent=2)
        # Once begun, the file is written to its end, also if the driver is cancelled.
        await trio.to_thread.run_sync(self._write, text)

    def _write(self, text: str) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        with new.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)
