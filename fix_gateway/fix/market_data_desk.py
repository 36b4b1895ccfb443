"""Market data sessions: who has asked for what, and what each is told when.

All are told at the same ticks of a clock. What changes between two of them is told together. A
client that has not taken what it was sent is passed over, and costs nothing: when it reads again it
is told how things are instead of what it has missed. So nothing waits in a queue for anybody.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from engine.book import DepthLevel
from engine.instrument import Instrument
from engine.order import Side
from engine.reference import Reference
from engine.units import InstrumentId, Price
from fix_gateway.fix.dialect import Dialect
from fix_gateway.fix.fields import Fields
from fix_gateway.fix.market_data_messages import (
    CHANGE,
    DELETE,
    NEW,
    LevelChange,
    MarketDataMessages,
)
from fix_gateway.fix.market_data_request import (
    ALL_LEVELS,
    BID,
    DUPLICATE,
    NO_SUCH_SUBSCRIPTION,
    NOT_PERMITTED,
    OFFER,
    TRADE,
    MarketDataRequest,
    Rejection,
    Unsubscription,
    build_rejection,
    parse_request,
    too_many,
)
from fix_gateway.market_data.books import Books
from fix_gateway.market_data.messages import TradeEntry

LEVELS_MAX: Final = 1000
SUBSCRIPTIONS_MAX: Final = 200
ENTRY_TYPES_OF: Final = {Side.BUY: BID, Side.SELL: OFFER}
NEVER_TOLD: Final = -1

Level = tuple[Side, Price]


class Subscriber(Protocol):
    """A session whose client has asked for market data."""

    @property
    def is_logged_on(self) -> bool:
        """Whether the client is there."""

    @property
    def can_take_more(self) -> bool:
        """Whether it is there and has read most of what it was sent."""

    def send(self, body: str) -> None:
        """Send a message, given as fields from 35= on, if the client is logged on."""


class BookView:
    """A book to so many levels a side, as it was at the last tick. Whoever shows it shares it.

    `version` counts the ticks at which it was another one than before; `changes` are those of the
    last of them. `now_ns` is the engine's time when it was looked at last.
    """

    def __init__(self, books: Books, instrument_id: InstrumentId, depth: int) -> None:
        self.version = 0
        self.now_ns = 0
        self.changes: list[LevelChange] = []
        self._books = books
        self._instrument_id = instrument_id
        self._level_count_max = LEVELS_MAX if depth == ALL_LEVELS else depth
        self._levels = self._look()

    def levels(self) -> Iterator[tuple[Side, DepthLevel]]:
        """Yield bids and then offers, the best first."""
        for (side, _), level in self._levels.items():
            yield side, level

    def refresh(self) -> None:
        """Take in what has changed since the last tick."""
        former, self._levels = self._levels, self._look()
        changes = [
            LevelChange(DELETE, side, level)
            for (side, price), level in former.items()
            if (side, price) not in self._levels
        ]
        for (side, price), level in self._levels.items():
            before = former.get((side, price))
            if before != level:
                action = NEW if before is None else CHANGE
                changes.append(LevelChange(action, side, level))
        if changes:
            self.version += 1
            self.changes = changes

    def _look(self) -> dict[Level, DepthLevel]:
        self.now_ns = self._books.now_ns
        return {
            (side, level.price): level
            for side in (Side.BUY, Side.SELL)
            for level in self._books.levels(self._instrument_id, side, self._level_count_max)
        }


@dataclass(slots=True)
class Subscription:
    """One instrument that a client is told of, and how far it has been."""

    request_id: str
    instrument: Instrument
    view: BookView
    entry_types: frozenset[str]
    is_incremental: bool
    told_version: int = NEVER_TOLD
    told_trade_count: int = 0

    def shows(self, side: Side) -> bool:
        """Whether bids, or offers, are wanted."""
        return ENTRY_TYPES_OF[side] in self.entry_types

    def levels(self) -> Iterator[tuple[Side, DepthLevel]]:
        """Yield the levels that are wanted."""
        return (level for level in self.view.levels() if self.shows(level[0]))


@dataclass(slots=True)
class _Listener:
    """What one session has asked for."""

    messages: MarketDataMessages
    subscriptions: dict[str, list[Subscription]] = field(default_factory=dict)

    def all(self) -> Iterator[Subscription]:
        for several in self.subscriptions.values():
            yield from several


class MarketDataDesk:
    """Tells the market data sessions of a process. Belongs to the gateway's one thread."""

    def __init__(self, books: Books, reference: Reference, on_skipped: Callable[[], None]) -> None:
        self._books = books
        self._reference = reference
        self._on_skipped = on_skipped
        self._views: dict[tuple[InstrumentId, int], BookView] = {}
        self._listeners: dict[Subscriber, _Listener] = {}

    @property
    def subscription_count(self) -> int:
        """How many subscriptions there are, one for each instrument."""
        return sum(1 for _ in self._all_subscriptions())

    def take_request(
        self, subscriber: Subscriber, fields: Fields, text: str, dialect: Dialect
    ) -> None:
        """Serve a MarketDataRequest(V) of a client, or say why not."""
        asked = parse_request(fields, text, self._reference)
        if not isinstance(asked, Rejection):
            rejection = self._serve(subscriber, asked, dialect)
        else:
            rejection = asked
        if rejection is not None:
            subscriber.send(build_rejection(fields, rejection, dialect))

    def start_over(self, subscriber: Subscriber) -> None:
        """Tell a client how everything is: it does not have all that it was told."""
        listener = self._listeners.get(subscriber)
        for subscription in listener.all() if listener is not None else ():
            subscription.told_version = NEVER_TOLD

    def forget(self, subscriber: Subscriber) -> None:
        """The client is gone, and its subscriptions with it."""
        if self._listeners.pop(subscriber, None) is not None:
            self._drop_views()

    async def run(self, interval_s: float) -> None:
        """Tell everybody what has changed, again and again until cancelled."""
        while True:
            await asyncio.sleep(interval_s)
            self.tick()

    def tick(self) -> None:
        """Tell everybody who can take it what has changed."""
        changed = frozenset(self._books.take_changed())
        for (instrument_id, _), view in self._views.items():
            if instrument_id in changed:
                view.refresh()
        for subscriber, listener in self._listeners.items():
            for subscription in listener.all():
                if not subscriber.can_take_more:
                    break
                for body in self._next_messages(listener.messages, subscription):
                    subscriber.send(body)

    def _serve(
        self,
        subscriber: Subscriber,
        asked: MarketDataRequest | Unsubscription,
        dialect: Dialect,
    ) -> Rejection | None:
        listener = self._listeners.get(subscriber) or _Listener(MarketDataMessages(dialect))
        is_known = asked.request_id in listener.subscriptions
        if isinstance(asked, Unsubscription):
            if not is_known:
                return NO_SUCH_SUBSCRIPTION
            del listener.subscriptions[asked.request_id]
            self._drop_views()
            return None
        if is_known:
            return DUPLICATE
        if sum(1 for _ in listener.all()) + len(asked.instruments) > SUBSCRIPTIONS_MAX:
            return too_many(SUBSCRIPTIONS_MAX)
        made = [self._subscribe(asked, instrument) for instrument in asked.instruments]
        if asked.is_subscription:
            listener.subscriptions[asked.request_id] = made
            self._listeners[subscriber] = listener
        for subscription in made:
            subscriber.send(self._first_message(listener.messages, subscription))
        self._drop_views()
        return None

    def _subscribe(self, asked: MarketDataRequest, instrument: Instrument) -> Subscription:
        key = (instrument.instrument_id, asked.depth)
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = BookView(self._books, *key)
        # At first the last trade is told, if there was one.
        trade_count = self._books.trade_count(instrument.instrument_id)
        return Subscription(
            request_id=asked.request_id,
            instrument=instrument,
            view=view,
            entry_types=asked.entry_types,
            is_incremental=asked.is_incremental,
            told_trade_count=max(0, trade_count - 1),
        )

    def _drop_views(self) -> None:
        """Let go of views that nobody is told of any more."""
        shown = {id(subscription.view) for subscription in self._all_subscriptions()}
        self._views = {key: view for key, view in self._views.items() if id(view) in shown}

    def _all_subscriptions(self) -> Iterator[Subscription]:
        for listener in self._listeners.values():
            yield from listener.all()

    def _next_messages(
        self, messages: MarketDataMessages, subscription: Subscription
    ) -> Iterable[str]:
        """Return what the client is to be told next, nothing when it knows everything."""
        view = subscription.view
        missed = view.version - subscription.told_version
        is_lost = subscription.told_version == NEVER_TOLD
        changes = [change for change in view.changes if subscription.shows(change.side)]
        has_changed = is_lost or missed > 1 or (missed > 0 and bool(changes))
        trades = self._trades_to_tell(subscription)
        if not has_changed and not trades:
            subscription.told_version = view.version
            return ()
        if missed > 1 and not is_lost:
            self._on_skipped()
        self._note_told(subscription)
        if not subscription.is_incremental:
            return (_snapshot(messages, subscription, trades),)
        request = (subscription.request_id, subscription.instrument)
        if not is_lost and missed <= 1:
            return (messages.update(*request, changes if missed else (), trades),)
        # A W cannot say that a trade told before was taken back: with an X all trades are told.
        whole = _snapshot(messages, subscription, ())
        return (whole, messages.update(*request, (), trades)) if trades else (whole,)

    def _first_message(self, messages: MarketDataMessages, subscription: Subscription) -> str:
        trades = self._trades_to_tell(subscription)
        self._note_told(subscription)
        return _snapshot(messages, subscription, trades)

    def _trades_to_tell(self, subscription: Subscription) -> Sequence[TradeEntry]:
        if TRADE not in subscription.entry_types:
            return ()
        return self._books.trades_after(
            subscription.instrument.instrument_id, subscription.told_trade_count
        )

    def _note_told(self, subscription: Subscription) -> None:
        subscription.told_version = subscription.view.version
        subscription.told_trade_count = self._books.trade_count(
            subscription.instrument.instrument_id
        )


def _snapshot(
    messages: MarketDataMessages, subscription: Subscription, trades: Sequence[TradeEntry]
) -> str:
    return messages.snapshot(
        subscription.request_id,
        subscription.instrument,
        subscription.levels(),
        trades,
        subscription.view.now_ns,
    )


class MarketDataDoor:
    """How one session's client gets at the desk, or is told that it may not.

    `desk` is None in a process that has no market data sessions.
    """

    def __init__(
        self, desk: MarketDataDesk | None, subscriber: Subscriber, dialect: Dialect
    ) -> None:
        self._desk = desk
        self._subscriber = subscriber
        self._dialect = dialect

    def speak(self, dialect: Dialect) -> None:
        """Let the subscriptions that follow be told so."""
        self._dialect = dialect

    def take_request(self, fields: Fields, text: str) -> None:
        """Take a MarketDataRequest(V)."""
        if not self._subscriber.is_logged_on:
            return
        if self._desk is None:
            self._subscriber.send(build_rejection(fields, NOT_PERMITTED, self._dialect))
        else:
            self._desk.take_request(self._subscriber, fields, text, self._dialect)

    def start_over(self) -> None:
        """The client does not have all that it was told."""
        if self._desk is not None:
            self._desk.start_over(self._subscriber)

    def close(self) -> None:
        """The client is gone."""
        if self._desk is not None:
            self._desk.forget(self._subscriber)
