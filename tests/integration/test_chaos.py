"""The chaos harness on a small scale; `make chaos` is the real thing."""

import random

import pytest

from fix_gateway.tools.chaos.run import ChaosConfig, run_chaos

FAULTS = 12


@pytest.mark.embedded("`wcx chaos` kills them")
@pytest.mark.timeout(300)
def test_nothing_is_lost_or_doubled_under_faults() -> None:
    """A dozen faults of all kinds; every client's log and the database agree with the journal."""
    config = ChaosConfig(
        fault_count=FAULTS, seed=random.randrange(2**32), client_count=4, rate=20.0
    )
    result = run_chaos(config, print)
    assert result.is_clean, "\n".join(result.table())
    assert result.faults.total() >= FAULTS
    assert result.trade_count > 0
    assert result.database_order_count >= result.order_count > 0
    assert result.database_execution_count > result.database_order_count
