"""What the tests of this directory share."""

from __future__ import annotations

import pytest

from tests.kit.server import connections

connect = pytest.fixture(connections, name="connect")
