"""What a message costs when there are ten times the accounts, and after ten times the history.

Each run is a process of its own, `python -m benchmarks.growth ACCOUNTS PAST_ORDERS MESSAGES`, which
prints one line of JSON. The messages that are timed are the same in all of them.
"""

import gc
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Final, TypedDict

from benchmarks.books.our_exchange import ACCOUNTS, OurExchange
from benchmarks.builds import SOURCES
from benchmarks.engine_alone import RUN_S_MAX
from benchmarks.worker import count_calls, replay
from benchmarks.workloads import NORMAL, liquid_symbol
from risk.pre_trade import PreTradeGate

PAST_ORDERS: Final = 20_000
AS_IT_IS, MORE_ACCOUNTS, MORE_HISTORY = "as it is", "ten times the accounts", "ten times the past"
GROWN: Final = {
    AS_IT_IS: (ACCOUNTS, PAST_ORDERS),
    MORE_ACCOUNTS: (10 * ACCOUNTS, PAST_ORDERS),
    MORE_HISTORY: (ACCOUNTS, 10 * PAST_ORDERS),
}
COUNTED_PART: Final = 10


class Cost(TypedDict):
    """What a message has cost in one run."""

    cpu_us: float
    calls: float


def measure_growth(new_order_count: int, rounds: int) -> dict[str, list[Cost]]:
    """Return what a message costs, by what has grown; the runs of a round one after the other."""
    costs: dict[str, list[Cost]] = {name: [] for name in GROWN}
    for _ in range(rounds):
        for name, sizes in GROWN.items():
            costs[name].append(_run(*sizes, new_order_count))
    return costs


def run(account_count: int, past_orders: int, new_order_count: int) -> Cost:
    """Return what a message costs in an exchange of that many accounts and past orders."""
    messages = liquid_symbol(NORMAL, new_order_count).messages
    counted_from = len(messages) - len(messages) // COUNTED_PART
    exchange = OurExchange(PreTradeGate(), account_count=account_count)
    exchange.prepare(messages)
    exchange.live_through(past_orders)
    gc.collect()
    gc.freeze()
    gc.disable()
    started_ns = time.process_time_ns()
    replay(exchange, messages[:counted_from])
    cpu_ns = time.process_time_ns() - started_ns
    counted = messages[counted_from:]
    return Cost(
        cpu_us=cpu_ns / 1000 / counted_from, calls=count_calls(exchange, counted) / len(counted)
    )


def _run(*sizes: int) -> Cost:
    done = subprocess.run(
        [SOURCES.python, "-m", "benchmarks.growth", *map(str, sizes)],
        cwd=SOURCES.directory,
        stdout=subprocess.PIPE,
        check=True,
        timeout=RUN_S_MAX,
    )
    cost: Cost = json.loads(done.stdout)
    return cost


def main(sizes: Sequence[str]) -> None:
    """Run and print."""
    print(json.dumps(run(*map(int, sizes))))


if __name__ == "__main__":
    main(sys.argv[1:])
