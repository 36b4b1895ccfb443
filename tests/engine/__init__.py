"""Unit tests of the engine, pure and runtime."""
