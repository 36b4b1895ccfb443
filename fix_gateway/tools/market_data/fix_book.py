"""An instrument as a client of market data over FIX knows it: docs/market-data.md in code.

It shares nothing with the gateway. Prices and quantities stay the texts that they came as.
"""

from decimal import Decimal
from typing import Final, NamedTuple

from fix_gateway.fix.fields import SOH

SNAPSHOT, UPDATE = "W", "X"  # MsgType(35).
BID, OFFER, TRADE = "0", "1", "2"  # MDEntryType(269).
NEW, CHANGE, DELETE = "0", "1", "2"  # MDUpdateAction(279).
FIRST_FIELDS: Final = {SNAPSHOT: 269, UPDATE: 279}
"""The field that begins an entry."""


class TakenTrade(NamedTuple):
    """A trade that was told. `number` is MDEntryID(278), "" in a snapshot."""

    number: str
    price: str
    qty: str


class FixBook:
    """The books and trades of one MDReqID(262), by symbol."""

    def __init__(self) -> None:
        self.levels: dict[str, dict[tuple[str, str], tuple[str, int]]] = {}
        self.trades: list[TakenTrade] = []

    def take(self, text: str) -> None:
        """Take a MarketDataSnapshotFullRefresh(W) or MarketDataIncrementalRefresh(X).

        Raises ValueError for one that does not fit what was told before.
        """
        pairs = [part.partition("=")[::2] for part in text.split(SOH)[:-1]]
        head = {int(tag): value for tag, value in reversed(pairs)}
        first = FIRST_FIELDS[head[35]]
        entries: list[dict[int, str]] = []
        for tag, value in pairs:
            if int(tag) == first:
                entries.append({})
            if entries:
                entries[-1][int(tag)] = value
        if len(entries) != int(head[268]):
            raise ValueError(f"{head[268]} entries are said, {len(entries)} are there")
        if head[35] == SNAPSHOT:
            self.levels[head[55]] = {}
            entries = [{279: NEW, 55: head[55], **entry} for entry in entries]
        for entry in entries:
            self._take_entry(entry)

    def side(self, symbol: str, entry_type: str) -> list[tuple[str, str, int]]:
        """Return price, quantity and number of orders of each level, the best first."""
        found = [
            (price, qty, count)
            for (kind, price), (qty, count) in self.levels[symbol].items()
            if kind == entry_type
        ]
        return sorted(found, key=lambda level: Decimal(level[0]), reverse=entry_type == BID)

    def _take_entry(self, entry: dict[int, str]) -> None:
        if entry[269] == TRADE:
            self._take_trade(entry)
            return
        levels = self.levels[entry[55]]
        name = (entry[269], entry[270])
        if (name in levels) == (entry[279] == NEW):
            raise ValueError(f"level {name}: 279={entry[279]}, and it is in {levels}")
        if entry[279] == DELETE:
            del levels[name]
        else:
            levels[name] = (entry[271], int(entry[346]))

    def _take_trade(self, entry: dict[int, str]) -> None:
        trade = TakenTrade(entry.get(278, ""), entry[270], entry[271])
        if entry[279] != NEW:
            self.trades = [each for each in self.trades if each.number != trade.number]
        if entry[279] != DELETE:
            self.trades.append(trade)
