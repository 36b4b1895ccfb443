"""The parts that the exchange is put together from, and the whole state taken from them."""

import msgspec

from engine.credit_watch import CreditWatch
from engine.dead_man import DeadManTimers
from engine.events import (
    AccountOpened,
    AssetDefined,
    InstrumentDefined,
    ReferenceEvent,
)
from engine.fees import FeeTable
from engine.gate import RiskGate
from engine.kill_switches import KillSwitches
from engine.ledger import VENUE_ACCOUNTS, Balance, Ledger
from engine.live_order import Order
from engine.order_finder import OrderFinder
from engine.ownership import Grant, Ownership
from engine.presence import Presence
from engine.reference import Reference
from engine.requests import Requests
from engine.state import BalanceState, ExchangeState, GrantState, OrderState
from engine.sweeper import Sweeper
from engine.trade_amendments import TradeAmendments
from engine.trading import Trading
from engine.treasury import Treasury


class Parts:
    """What remembers something, each part once. Belongs to the thread that applies commands."""

    def __init__(self, gate: RiskGate) -> None:
        self.reference = Reference()
        self._gate = gate
        self.ledger = Ledger()
        self.fees = FeeTable(self.reference)
        self.treasury = Treasury(self.reference, self.ledger, self.fees)
        self.ownership = Ownership()
        self.presence = Presence()
        self.kill_switches = KillSwitches()
        self.dead_man = DeadManTimers(self.reference)
        self.trading = Trading(
            self.reference, self.ledger, self.fees, gate, self.presence, self.kill_switches
        )
        self.finder = OrderFinder(self.reference, self.ownership, self.trading.open_orders)
        self.trade_amendments = TradeAmendments(self.reference, self.ledger, self.trading)
        self.sweeper = Sweeper(self.finder, self.trading)
        self.credit_watch = CreditWatch(self.ledger)
        self.requests = Requests(
            self.reference, self.ledger, self.trading, self.finder, self.sweeper
        )

    def restore(self, state: ExchangeState) -> None:
        """Go on as the parts would from which `state` was taken. These and the gate are new."""
        for asset in state.assets:
            self.learn(AssetDefined(asset))
        for definition in state.instruments:
            self.learn(InstrumentDefined(definition))
        for account in state.accounts:
            self.learn(AccountOpened(account))
        for limits in state.limits:
            self._gate.set_limits(limits)
        self._restore_money(state)
        for grant in state.grants:
            self.ownership.restore(
                Grant(
                    grant.session_id, grant.generation, grant.epoch, grant.watermark, grant.is_held
                )
            )
        self.trading.memory.closed_max = state.cl_ord_ids_max
        for amended in state.amended_trades:
            self.trade_amendments.restore(amended)
        self.trading.restore(
            [item.make_order() for item in state.open_orders],
            [(item.closed_at_ns, item.make_order()) for item in state.closed_orders],
            state.former_names,
            state.trade_id_last,
        )
        self.trading.set_storage_low(is_low=state.is_storage_low)
        self._restore_controls(state)
        self._restore_gate(state)

    def state(self) -> ExchangeState:
        """Return the whole state as data. Takes time in proportion to the orders known."""
        return ExchangeState(
            assets=list(self.reference.assets.values()),
            instruments=[known.definition for known in self.reference.instruments.values()],
            accounts=list(self.reference.accounts.values()),
            limits=self._gate.limits(),
            balances=[
                BalanceState(account_id, asset_id, *balance.amounts())
                for account_id, asset_id, balance in self.ledger.balances()
                if balance.balance or balance.held or balance.credit
            ],
            references=self.ledger.references(),
            grants=[
                GrantState(
                    grant.session_id,
                    grant.generation,
                    grant.epoch,
                    grant.watermark,
                    grant.is_held,
                )
                for grant in self.ownership.grants()
            ],
            open_orders=[
                OrderState(
                    order.view(),
                    order.held,
                    order.expires_at_ns,
                    outlives_connection=order.outlives_connection,
                    fees=order.fees,
                    amend_count=order.amend_count,
                )
                for order in self._open_orders()
            ],
            closed_orders=[
                OrderState(
                    order.view(), order.held, order.expires_at_ns, closed_at_ns, fees=order.fees
                )
                for closed_at_ns, order in self.trading.memory.closed()
            ],
            trade_id_last=self.trading.trade_id_last,
            is_storage_low=self.trading.is_storage_low,
            scope_limits=self._gate.scope_limits(),
            throttles=self._gate.throttles(),
            attendances=self.presence.attendances(),
            kill_switches=self.kill_switches.pulled(),
            sweeps=self.sweeper.sweeps(),
            self_trade_defaults=self.trading.self_trade.defaults(),
            former_names=self.trading.memory.former_names(),
            status_requests=self.requests.status_reports.requests(),
            fee_schedules=self.fees.schedules(),
            fee_tiers=self.fees.tiers(),
            withdrawals=self.ledger.withdrawals(),
            markets=[msgspec.structs.replace(book.market) for book in self.trading.books.values()],
            gate=self._gate.state(),
            amended_trades=self.trade_amendments.amended(),
            cl_ord_ids_max=self.trading.memory.closed_max,
            reached_stops=self.trading.reached_stops(),
            firm_credits=self.ledger.firm_credits(),
            dead_man_timers=self.dead_man.timers(),
            unsorted_expiries=self.trading.unsorted_expiries(),
        )

    def learn(self, event: ReferenceEvent) -> None:
        """Let all parts know of what exists from now on."""
        match event:
            case InstrumentDefined():
                self.trading.open_book(event.instrument)
            case AccountOpened():
                self.ledger.open_account(event.account.account_id, event.account.firm_id)
                self._gate.add_account(event.account)
            case AssetDefined():
                pass
        self.reference.learn(event)
        if isinstance(event, InstrumentDefined):
            instrument_id = event.instrument.instrument_id
            self._gate.add_instrument(self.reference.instruments[instrument_id])

    def _restore_money(self, state: ExchangeState) -> None:
        for line in state.balances:
            balance = Balance(line.balance, line.held, line.credit)
            self.ledger.restore(line.account_id, line.asset_id, balance)
        for credit in state.firm_credits:
            accounts = self.reference.accounts_of(credit.firm_id)
            self.ledger.set_firm_credit(credit, [account.account_id for account in accounts])
        for account_id, reference in state.references:
            self.ledger.restore_reference(account_id, reference)
        for withdrawal in state.withdrawals:
            self.ledger.restore_withdrawal(withdrawal)
        self.fees.restore(state.fee_schedules, state.fee_tiers)

    def _restore_gate(self, state: ExchangeState) -> None:
        for line in state.balances:
            if line.account_id not in VENUE_ACCOUNTS:
                self._gate.add_balance(line.account_id, line.asset_id, line.balance)
        for item in state.open_orders:
            self._gate.add_open_order(item.order)
        self._gate.restore(state.gate)
        self.credit_watch.restore()

    def _restore_controls(self, state: ExchangeState) -> None:
        for limits in state.scope_limits:
            self._gate.set_scope_limits(limits)
        for throttle in state.throttles:
            self._gate.set_throttle(throttle)
        for attendance in state.attendances:
            self.presence.restore(msgspec.structs.replace(attendance))
        for switch in state.kill_switches:
            self.kill_switches.restore(switch)
        for timer in state.dead_man_timers:
            self.dead_man.restore(timer)
        for default in state.self_trade_defaults:
            self.trading.self_trade.restore(default)
        markets = [msgspec.structs.replace(market) for market in state.markets]
        self.trading.restore_markets(markets, state.reached_stops)
        self.trading.restore_expiries(state.unsorted_expiries)
        for sweep in state.sweeps:
            self.sweeper.start(msgspec.structs.replace(sweep))
        for request in state.status_requests:
            self.requests.status_reports.restore(
                msgspec.structs.replace(request, order_ids=[*request.order_ids])
            )

    def _open_orders(self) -> list[Order]:
        return [order for book in self.trading.books.values() for order in book.orders()]
