"""Hosting one driver on standard input and output."""

from trindi.host.stdio import run_on_stdio as run_on_stdio, run_on_stream as run_on_stream
