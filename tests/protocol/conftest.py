"""How hard the properties of the protocol are tried: many small examples, no clock."""

from hypothesis import settings

settings.register_profile("trindi", deadline=None, max_examples=100)
settings.load_profile("trindi")
