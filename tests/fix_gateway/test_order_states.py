"""Random trading on an exchange, judged by the matrices of the standard: see `order_judge`."""

import random
from typing import Final

import pytest

from engine.commands import AdvanceTime, CancelOrder, Command, NewOrder, ReplaceOrder
from engine.events import OrderEvent
from engine.exchange import Exchange
from engine.order import OrdType, Side, TimeInForce
from engine.request_commands import MassCancel, ReportOrder
from engine.runtime.feed import Position, SessionEvent
from engine.scope import Scope
from engine.session_commands import LogOffSession, LogOnSession, OpenSession
from engine.units import AccountId, ClOrdId, OrderId, Price, Qty, Seq, SessionId
from fix_gateway.fix.answers import AnswerBuilder
from fix_gateway.fix.dialect import find_dialect
from fix_gateway.fix.event_messages import EventMessages
from fix_gateway.fix.execution_report import ReportBuilder
from fix_gateway.fix.fields import parse_message
from risk.pre_trade import PreTradeGate
from tests.exchange_desk import (
    ALICE,
    BOB,
    BTC_USD,
    DEFAULT_FUNDS,
    NS_PER_S,
    REFERENCE_COMMANDS,
    START_NS,
    account_commands,
)
from tests.order_judge import (
    CANCELED,
    EXPIRED,
    FILLED,
    NEW,
    PARTIAL,
    REJECTED,
    REPLACED,
    TRADE,
    Judge,
)  # fmt: skip

STEPS: Final = 3000
DAY_NS: Final = 24 * 3600 * NS_PER_S


class Market:
    """Two sessions that trade at random, on an exchange and with the gateway's own reports."""

    def __init__(self, seed: int) -> None:
        self.judge = Judge()
        self._rng = random.Random(seed)
        self._exchange = Exchange(PreTradeGate())
        self._seq = 0
        self._now_ns = START_NS
        dialect, reference = find_dialect("FIX.4.4"), self._exchange.reference
        self._messages = EventMessages(
            ReportBuilder(reference, dialect), AnswerBuilder(reference, dialect)
        )
        self._count = 0
        self._numbers = {SessionId(1): 0, SessionId(2): 0}
        self._accounts = {SessionId(1): ALICE, SessionId(2): BOB}
        self._names: dict[SessionId, list[str]] = {SessionId(1): [], SessionId(2): []}
        for command in REFERENCE_COMMANDS:
            self._apply(command)
        for account_id in (ALICE, BOB):
            for command in account_commands(account_id, DEFAULT_FUNDS):
                self._apply(command)
        for session_id in self._numbers:
            self._apply(OpenSession(session_id))
            self._log_on(session_id)

    def run(self, steps: int) -> None:
        """Do so many things."""
        for _ in range(steps):
            self._now_ns += self._rng.randint(1, NS_PER_S)
            session_id = self._rng.choice(list(self._numbers))
            roll = self._rng.random()
            if roll < 0.5:
                self._enter(session_id)
            elif roll < 0.7:
                self._cancel(session_id)
            elif roll < 0.9:
                self._replace(session_id)
            elif roll < 0.95:
                self._ask(session_id)
            elif roll < 0.97:
                self._mass_cancel(session_id)
            elif roll < 0.995:
                self._disconnect(session_id)
            else:
                self._now_ns += DAY_NS
            while (due_ns := self._exchange.next_timer_ns()) is not None and due_ns <= self._now_ns:
                self._apply(AdvanceTime())

    def _apply(self, command: Command) -> None:
        self._seq += 1
        events = self._exchange.apply(Seq(self._seq), self._now_ns, command)
        for index, event in enumerate(events):
            if not isinstance(event, OrderEvent):
                continue
            told = SessionEvent(SessionId(1), Position(self._seq, index), self._now_ns, event)
            for body in self._messages.build(told, is_poss_resend=False):
                self.judge.hear(parse_message(body))

    def _head(self, session_id: SessionId) -> tuple[SessionId, int, int, int, AccountId]:
        self._numbers[session_id] += 1
        return session_id, 1, 1, self._numbers[session_id], self._accounts[session_id]

    def _new_name(self, session_id: SessionId, *, is_order: bool = True) -> ClOrdId:
        self._count += 1
        name = f"n{self._count}"
        if is_order:
            self._names[session_id].append(name)
        self.judge.unanswered.add(name)
        return ClOrdId(name)

    def _some_name(self, session_id: SessionId) -> ClOrdId:
        recent = self._names[session_id][-12:]
        return ClOrdId(self._rng.choice([*recent, "nobody"]))

    def _enter(self, session_id: SessionId) -> None:
        head = self._head(session_id)
        rng = self._rng
        is_market = rng.random() < 0.1
        times = (
            TimeInForce.DAY,
            TimeInForce.GTC,
            TimeInForce.GTC,
            TimeInForce.IOC,
            TimeInForce.FOK,
        )
        self._apply(
            NewOrder(
                *head,
                instrument_id=BTC_USD,
                cl_ord_id=self._new_name(session_id),
                side=rng.choice(list(Side)),
                ord_type=OrdType.MARKET if is_market else OrdType.LIMIT,
                time_in_force=rng.choice(times),
                order_qty=Qty(rng.randint(0, 9)),
                price=None if is_market else Price(rng.randint(98, 103)),
            )
        )

    def _cancel(self, session_id: SessionId) -> None:
        head = self._head(session_id)
        name = self._new_name(session_id, is_order=False)
        self._apply(CancelOrder(*head, name, self._some_name(session_id)))

    def _replace(self, session_id: SessionId) -> None:
        head = self._head(session_id)
        former = self._some_name(session_id)
        rng = self._rng
        self._apply(
            ReplaceOrder(
                *head,
                cl_ord_id=self._new_name(session_id),
                orig_cl_ord_id=former,
                order_qty=Qty(rng.randint(1, 12)),
                price=Price(rng.randint(98, 103)),
            )
        )

    def _ask(self, session_id: SessionId) -> None:
        head = self._head(session_id)
        self._apply(ReportOrder(*head, self._some_name(session_id), OrderId(0), request_id="q"))

    def _mass_cancel(self, session_id: SessionId) -> None:
        head = self._head(session_id)
        name = self._new_name(session_id, is_order=False)
        self.judge.unanswered.discard(name)  # By another message than those that are judged here.
        self._apply(MassCancel(*head, name, Scope.SESSION, session_id))

    def _disconnect(self, session_id: SessionId) -> None:
        self._apply(LogOffSession(session_id, 1))
        self._log_on(session_id)

    def _log_on(self, session_id: SessionId) -> None:
        account_id = self._accounts[session_id]
        self._apply(LogOnSession(session_id, 1, account_id, cancel_scope=Scope.SESSION))


@pytest.mark.parametrize("seed", range(4))
def test_orders_change_as_the_matrices_say(seed: int) -> None:
    """No report that the standard does not foresee, no request without its one answer."""
    market = Market(seed)
    market.run(STEPS)
    judge = market.judge
    assert judge.unanswered == set()
    # All of it has happened, so all of it was judged.
    wanted = {
        (NEW, ""), (REJECTED, ""), (TRADE, NEW), (TRADE, PARTIAL), (CANCELED, NEW),
        (CANCELED, PARTIAL), (REPLACED, NEW), (REPLACED, PARTIAL), (EXPIRED, NEW),
        ("9", FILLED), ("9", CANCELED), ("9", NEW),
    }  # fmt: skip
    assert wanted <= judge.seen, wanted - judge.seen
