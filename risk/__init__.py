"""Pre-trade risk: limits and the checks behind the engine's `RiskGate`. Pure."""
