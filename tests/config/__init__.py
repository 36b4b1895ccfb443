"""Unit tests of settings and logs."""
