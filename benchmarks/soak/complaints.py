"""Counts what nobody should have to log: errors, and warnings of Python such as those of leaks.

A client that is sent away is a warning too, but one of trindi's own, and no complaint.
"""

from __future__ import annotations

import logging
import sys

__all__ = ["Complaints"]


class Complaints(logging.Handler):
    """Counts while it is entered.

    Attributes:
        count: how many there have been.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Count a record."""
        if record.levelno >= logging.ERROR or record.exc_info or record.name == "py.warnings":
            self.count += 1

    def __enter__(self) -> Complaints:
        logging.getLogger().addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self)

    @staticmethod
    def log_all() -> None:
        """Have warnings logged, and exceptions that Python can only print."""
        logging.captureWarnings(capture=True)
        sys.unraisablehook = _log_unraisable


def _log_unraisable(args: sys.UnraisableHookArgs) -> None:
    logging.getLogger("python").error("%s in %r", args.exc_value, args.object)
