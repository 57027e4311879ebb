"""The bench device in an IPyServer: ``trindi_server.py PORT``."""

from __future__ import annotations

import sys

import trio
from trindi_driver import make_clock, make_driver

from trindi import IPyServer

if __name__ == "__main__":
    trio.run(IPyServer([make_driver(), make_clock()], "127.0.0.1", int(sys.argv[1]), 2000).run)
