"""Tests against running processes and real servers."""
