"""Against servers that are there already: not part of the suite, see `make test-outside`."""
