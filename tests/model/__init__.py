"""Slow twins that judge the real thing, and the random tests that compare the two."""
