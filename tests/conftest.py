"""What holds for all tests."""

from hypothesis import settings

# A busy machine is slow for a moment: no example fails for the time that it takes.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
