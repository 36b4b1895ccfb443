"""Unit tests of pre-trade risk."""
