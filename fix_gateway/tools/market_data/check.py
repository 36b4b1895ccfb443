"""`wcx market-data check`: does a book that is rebuilt from MQTT agree with the engine's?

Trades on a running demo venue over FIX, follows its market data with the reference consumer, makes
that one miss updates and lose its connection, and compares its books again and again with those
that the engine's own code rebuilds from the journal after the same record.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from fix_gateway.tools.initiator import Counterparty
from fix_gateway.tools.market_data.follower import Follower, Subscriber
from fix_gateway.tools.market_data.load import Load

SYMBOLS: Final = ["BTC-USD", "ETH-USD", "SOL-USD"]
COMP_IDS: Final = ["T17", "T18", "T19", "T20"]
SIDES: Final = ("bids", "asks")
TICK_S: Final = 0.02
STALL_S: Final = 60.0
DROPS_MAX: Final = 3
REPLAY_WAIT_S: Final = 300.0


@dataclass(frozen=True)
class CheckConfig:
    """How much is to be seen, and how often something is to be missed or compared."""

    updates: int
    gaps: int
    reconnections: int
    comparisons: int
    seed: int


@dataclass
class CheckResult:
    """What was seen. `differences` is empty when every book was the engine's own."""

    level_updates: int = 0
    gaps: int = 0
    updates_dropped: int = 0
    reconnections: int = 0
    trades: int = 0
    trade_gaps: int = 0
    books_compared: int = 0
    seconds: float = 0.0
    differences: list[str] = field(default_factory=list)

    def table(self) -> list[str]:
        """Return the figures, a line each."""
        return [
            f"level updates      {self.level_updates}",
            f"trades             {self.trades}, {self.trade_gaps} gaps",
            f"updates dropped    {self.updates_dropped}, noticed as {self.gaps} gaps",
            f"reconnections      {self.reconnections}",
            f"books compared     {self.books_compared}",
            f"seconds            {self.seconds:.1f}",
            *(f"DIFFERENT          {difference}" for difference in self.differences),
        ]


class StalledError(Exception):
    """Nothing comes any more."""


async def run_check(
    config: CheckConfig,
    subscriber: Subscriber,
    counterparty: Counterparty,
    say: Callable[[str], None],
) -> CheckResult:
    """Trade, follow, disturb and compare until enough was seen.

    Raises StalledError when no more market data comes, LoadFailedError when nobody can trade.
    """
    follower = Follower(subscriber, SYMBOLS)
    result = CheckResult()
    started_s = time.monotonic()
    following = asyncio.ensure_future(follower.run())
    try:
        load = Load(counterparty, COMP_IDS, SYMBOLS, config.seed)
        await asyncio.to_thread(load.start)
        try:
            await _disturb_and_compare(config, follower, result, say)
        finally:
            await asyncio.to_thread(load.stop)
        await _compare(follower, result, SYMBOLS)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    result.level_updates = follower.level_update_count
    result.gaps = follower.gap_count
    result.updates_dropped = follower.updates_dropped
    result.reconnections = follower.reconnections
    result.trades = sum(chain.entry_count for chain in follower.trades.values())
    result.trade_gaps = sum(chain.gap_count for chain in follower.trades.values())
    result.seconds = time.monotonic() - started_s
    return result


async def _disturb_and_compare(
    config: CheckConfig, follower: Follower, result: CheckResult, say: Callable[[str], None]
) -> None:
    """Do each kind of thing as often as wanted, spread evenly over the updates."""
    rng = random.Random(config.seed)
    gaps = reconnections = comparisons = 0
    seen, seen_s = -1, time.monotonic()
    while follower.level_update_count < config.updates or comparisons < config.comparisons:
        count = follower.level_update_count
        if count != seen:
            seen, seen_s = count, time.monotonic()
        elif time.monotonic() - seen_s > STALL_S:
            raise StalledError(f"no depth update for {STALL_S:.0f} s, {count} so far")
        share = min(1.0, count / config.updates)
        if gaps < int(share * config.gaps):
            gaps += 1
            follower.drop_next(rng.randint(1, DROPS_MAX))
        if reconnections < int(share * config.reconnections):
            reconnections += 1
            follower.hang_up()
        if comparisons < int(share * config.comparisons) and follower.is_current:
            comparisons += 1
            await _compare(follower, result, [SYMBOLS[comparisons % len(SYMBOLS)]])
            say(f"{follower.level_update_count} level updates, {result.books_compared} compared")
        await asyncio.sleep(TICK_S)


async def _compare(follower: Follower, result: CheckResult, symbols: list[str]) -> None:
    """Compare books with what the engine's code makes of the journal up to the same record."""
    for symbol in symbols:
        book = follower.books[symbol]
        deadline_s = time.monotonic() + STALL_S
        while not book.is_current:
            if time.monotonic() > deadline_s:
                raise StalledError(f"no snapshot of {symbol} for {STALL_S:.0f} s")
            await asyncio.sleep(TICK_S)
        assert not book.is_cut
        seq, found = book.seq, {side: book.levels(side) for side in SIDES}
        truth = await _engines_book(symbol, seq)
        result.books_compared += 1
        for side in SIDES:
            levels = [(line["price"], line["qty"], line["order_count"]) for line in truth[side]]
            if found[side] != levels:
                result.differences.append(
                    f"{side} of {symbol} after record {seq}: {found[side]}, not {levels}"
                )


async def _engines_book(symbol: str, seq: int) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "engine",
        "replay",
        "--until",
        str(seq),
        "--json",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await asyncio.wait_for(process.communicate(), REPLAY_WAIT_S)
    if process.returncode:
        raise StalledError(f"the engine's book cannot be rebuilt: {errors.decode()[-500:]}")
    books: dict[str, dict[str, Any]] = {
        book["symbol"]: book for book in json.loads(output)["books"]
    }
    return books[symbol]
