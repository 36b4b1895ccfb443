"""The exchange: a pure, deterministic state machine, and in `runtime` the process round it."""
