"""The tests: unit tests mirror the packages, `integration` starts real servers and processes."""
