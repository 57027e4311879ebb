"""Loads the snippets of the documentation, each test its own copy of them."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.kit.docs import DOCS, SNIPPETS
from tests.kit.peers import Client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from types import ModuleType


@pytest.fixture
def snippet(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType | Any]]:
    """Import a snippet by its name, as if one stood in its directory."""
    names = {path.stem for path in SNIPPETS.glob("*.py")}
    # The examples have modules of the same names.
    others = {name: sys.modules.pop(name) for name in names & sys.modules.keys()}
    monkeypatch.syspath_prepend(str(SNIPPETS))
    yield importlib.import_module
    for name in names & sys.modules.keys():
        del sys.modules[name]
    sys.modules.update(others)


@pytest.fixture
def docs_tool(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType | Any]]:
    """Import a module of `docs/` that writes pages."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(DOCS))
    yield importlib.import_module
    for path in DOCS.glob("*.py"):
        if path.stem not in before:
            sys.modules.pop(path.stem, None)


@pytest.fixture
async def connect() -> AsyncIterator[Callable[[int], Awaitable[Client]]]:
    """Connect a client to a port of this machine; it is closed at the end of the test."""
    clients: list[Client] = []

    async def connect_one(port: int) -> Client:
        clients.append(Client(await trio.open_tcp_stream("127.0.0.1", port)))
        return clients[-1]

    yield connect_one
    for client in clients:
        await client.aclose()
