"""How hard tests with random input try: quickly, or thoroughly where CI asks for that."""

from __future__ import annotations

from hypothesis import settings

from tests.strategies import examples

settings.register_profile("trindi", examples(100), deadline=None)
settings.load_profile("trindi")
