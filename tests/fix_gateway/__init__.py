"""Unit tests of the gateway: pure parts and files."""
