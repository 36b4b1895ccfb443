"""What a person types, as FIX messages: `buy 0.5 BTC-USD 60000` is a NewOrderSingle(D)."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from fix_gateway.fix.fields import Fields, MsgType, Tag, UtcTimestamps
from fix_gateway.tools.client.own_orders import OwnOrder, OwnOrders

Pairs = list[tuple[int, str]]

BUY, SELL = "1", "2"
SIDES: Final = {"buy": BUY, "sell": SELL}
MARKET, LIMIT = "1", "2"
TIMES_IN_FORCE: Final = {"day": "0", "gtc": "1", "ioc": "3", "fok": "4"}
AUTOMATED: Final = "1"  # HandlInst(21), which FIX 4.2 asks for.
FIX_4_2: Final = "FIX.4.2"
BY_SYMBOL, BY_SESSION, BY_ALL = "1", "6", "7"
POSITIONS: Final = "0"
SNAPSHOT, SNAPSHOT_AND_UPDATES = "0", "1"
WATCH: Final = "watch"
ALL_SECURITIES, ONE_SECURITY = "4", "0"
THROTTLE_QUERY: Final = "5"
YES: Final = "Y"

HELP: Final = """\
buy QTY SYMBOL PRICE|market [day|gtc|ioc|fok] [TAG=VALUE ...]
sell QTY SYMBOL PRICE|market [day|gtc|ioc|fok] [TAG=VALUE ...]
                          enter an order; further fields by tag: 18=6 is post-only
cancel ORDER              cancel an order: its number here, its ClOrdID or its OrderID
replace ORDER QTY PRICE [TAG=VALUE ...]
                          amend an order to another total quantity and price
status ORDER              ask the exchange how an order stands
masscancel [session | SYMBOL] [buy|sell]
                          cancel all open orders of the account, or only those
massstatus [session | SYMBOL]
                          ask how all open orders of the account stand
positions                 ask what the account has
securities [SYMBOL]       ask for the instruments and their rules
trading [SYMBOL] [watch]  ask which instruments trade now, and to be told of every change
resend EXECID [EXECID]    ask for the reports of the account again, from the first to the last
throttle                  ask how often messages may be sent
send MSGTYPE TAG=VALUE ...
                          send any message
orders [all]              the orders known here: open ones, or all
wait SECONDS              do nothing for a while, for scripts
help                      this
quit                      log out and end; so do Ctrl-D and Ctrl-C"""


class UsageError(Exception):
    """What was typed is not understood; the text says what would be."""


@dataclass(frozen=True)
class Request:
    """A message to be sent, and what ends the waiting for its answer."""

    msg_type: str
    fields: Pairs
    is_answered_by: Callable[[Fields], bool] = field(default=lambda _fields: True)


class RequestMaker:
    """Makes the messages of one client. ClOrdIDs and other names count up, and never repeat."""

    def __init__(self, comp_id: str, begin_string: str, orders: OwnOrders) -> None:
        self._comp_id = comp_id
        self._is_4_2 = begin_string == FIX_4_2
        self._orders = orders
        self._timestamps = UtcTimestamps()
        self._ids = (f"{comp_id}-{time.time_ns() // 1000}-{count}" for count in itertools.count(1))
        self._makers: dict[str, Callable[[list[str]], Request]] = {
            "buy": lambda words: self._enter("buy", words),
            "sell": lambda words: self._enter("sell", words),
            "cancel": self._cancel,
            "replace": self._replace,
            "status": self._status,
            "masscancel": self._mass_cancel,
            "massstatus": self._mass_status,
            "positions": self._positions,
            "securities": self._securities,
            "trading": self._trading,
            "resend": self._resend,
            "throttle": self._throttle,
            "send": self._send,
        }

    def make(self, verb: str, words: list[str]) -> Request:
        """Return the message that a line asks for. Raises UsageError."""
        maker = self._makers.get(verb)
        if maker is None:
            raise UsageError(f"{verb}? Say help")
        try:
            return maker(words)
        except (IndexError, ValueError):
            lines = [line for line in HELP.splitlines() if line.startswith(verb)]
            raise UsageError(f"like this: {lines[0]}") from None

    def _enter(self, verb: str, words: list[str]) -> Request:
        qty, symbol, price_text, *options = words
        cl_ord_id = next(self._ids)
        price = "" if price_text == "market" else price_text
        times, extra = _split_options(options)
        self._orders.note_sent(cl_ord_id, symbol, SIDES[verb], qty, price)
        return self._answered_by_name(
            MsgType.NEW_ORDER_SINGLE,
            cl_ord_id,
            [
                (Tag.CL_ORD_ID, cl_ord_id),
                *self._handl_inst(),
                (Tag.SYMBOL, symbol),
                (Tag.SIDE, SIDES[verb]),
                (Tag.ORDER_QTY, qty),
                *_ord_type(price, extra),
                *([(Tag.PRICE, price)] if price else []),
                (Tag.TIME_IN_FORCE, TIMES_IN_FORCE[times[-1] if times else "gtc"]),
                *extra,
                (Tag.TRANSACT_TIME, self._now()),
            ],
        )

    def _cancel(self, words: list[str]) -> Request:
        (name,) = words
        cl_ord_id = next(self._ids)
        fields: Pairs = [
            (Tag.CL_ORD_ID, cl_ord_id),
            *self._named(name),
            (Tag.TRANSACT_TIME, self._now()),
        ]
        return self._answered_by_name(MsgType.ORDER_CANCEL_REQUEST, cl_ord_id, fields)

    def _replace(self, words: list[str]) -> Request:
        name, qty, price, *options = words
        times, extra = _split_options(options)
        if times:
            raise UsageError("the time in force cannot be amended")
        cl_ord_id = next(self._ids)
        fields: Pairs = [
            (Tag.CL_ORD_ID, cl_ord_id),
            *self._named(name),
            *self._handl_inst(),
            (Tag.ORDER_QTY, qty),
            *_ord_type(price, extra),
            (Tag.PRICE, price),
            *extra,
            (Tag.TRANSACT_TIME, self._now()),
        ]
        return self._answered_by_name(MsgType.ORDER_CANCEL_REPLACE_REQUEST, cl_ord_id, fields)

    def _status(self, words: list[str]) -> Request:
        (name,) = words
        order = self._find(name)
        request_id = next(self._ids)
        fields: Pairs = [
            *([(Tag.ORDER_ID, order.order_id)] if order.order_id else []),
            (Tag.CL_ORD_ID, order.cl_ord_id),
            (Tag.SYMBOL, order.symbol),
            (Tag.SIDE, order.side),
            *([] if self._is_4_2 else [(Tag.ORD_STATUS_REQ_ID, request_id)]),
        ]
        return Request(
            MsgType.ORDER_STATUS_REQUEST,
            fields,
            lambda came: (
                came.get(Tag.ORD_STATUS_REQ_ID) == request_id
                or came.get(Tag.CL_ORD_ID) == order.cl_ord_id
                or came.get(Tag.BUSINESS_REJECT_REF_ID) == order.cl_ord_id
            ),
        )

    def _mass_cancel(self, words: list[str]) -> Request:
        sides = [SIDES[word] for word in words if word in SIDES]
        scopes = [word for word in words if word not in SIDES]
        cl_ord_id = next(self._ids)
        kind, symbol = _scope(scopes)
        fields: Pairs = [
            (Tag.CL_ORD_ID, cl_ord_id),
            (Tag.MASS_CANCEL_REQUEST_TYPE, kind),
            *symbol,
            *((Tag.SIDE, side) for side in sides),
            (Tag.TRANSACT_TIME, self._now()),
        ]
        return self._answered_by_name(MsgType.ORDER_MASS_CANCEL_REQUEST, cl_ord_id, fields)

    def _mass_status(self, words: list[str]) -> Request:
        request_id = next(self._ids)
        kind, symbol = _scope(words)
        fields: Pairs = [
            (Tag.MASS_STATUS_REQ_ID, request_id),
            (Tag.MASS_STATUS_REQ_TYPE, kind),
            *symbol,
        ]
        return Request(
            MsgType.ORDER_MASS_STATUS_REQUEST,
            fields,
            lambda came: (
                came.get(Tag.MASS_STATUS_REQ_ID) == request_id
                and came.get(Tag.LAST_RPT_REQUESTED, YES) == YES
            ),
        )

    def _positions(self, words: list[str]) -> Request:
        del words
        request_id = next(self._ids)
        missing = 0

        def is_last(came: Fields) -> bool:
            nonlocal missing
            if came.get(Tag.POS_REQ_ID) != request_id:
                return False
            missing += 1
            return missing >= int(came.get(Tag.TOTAL_NUM_POS_REPORTS, "1"))

        fields: Pairs = [
            (Tag.POS_REQ_ID, request_id),
            (Tag.POS_REQ_TYPE, POSITIONS),
            (Tag.TRANSACT_TIME, self._now()),
        ]
        return Request(MsgType.REQUEST_FOR_POSITIONS, fields, is_last)

    def _securities(self, words: list[str]) -> Request:
        request_id = next(self._ids)
        kind = ONE_SECURITY if words else ALL_SECURITIES
        fields: Pairs = [
            (Tag.SECURITY_REQ_ID, request_id),
            (Tag.SECURITY_LIST_REQUEST_TYPE, kind),
            *((Tag.SYMBOL, symbol) for symbol in words[:1]),
        ]
        return Request(
            MsgType.SECURITY_LIST_REQUEST,
            fields,
            lambda came: came.get(Tag.SECURITY_REQ_ID) == request_id,
        )

    def _trading(self, words: list[str]) -> Request:
        request_id = next(self._ids)
        symbols = [word for word in words if word != WATCH]
        wish = SNAPSHOT_AND_UPDATES if WATCH in words else SNAPSHOT
        fields: Pairs = [
            (Tag.TRAD_SES_REQ_ID, request_id),
            *((Tag.TRADING_SESSION_ID, symbol) for symbol in symbols[:1]),
            (Tag.SUBSCRIPTION_REQUEST_TYPE, wish),
        ]
        return Request(
            MsgType.TRADING_SESSION_STATUS_REQUEST,
            fields,
            lambda came: came.get(Tag.TRAD_SES_REQ_ID) == request_id,
        )

    def _resend(self, words: list[str]) -> Request:
        begin, *end = words
        fields: Pairs = [
            (Tag.BEGIN_EXEC_ID, begin),
            *((Tag.END_EXEC_ID, exec_id) for exec_id in end[:1]),
        ]
        ends = (MsgType.EVENT_RESEND_COMPLETE, MsgType.EVENT_RESEND_REJECT)
        return Request(
            MsgType.EVENT_RESEND_REQUEST, fields, lambda came: came.get(Tag.MSG_TYPE) in ends
        )

    def _throttle(self, words: list[str]) -> Request:
        del words
        request_id = next(self._ids)
        fields: Pairs = [
            (Tag.USER_REQUEST_ID, request_id),
            (Tag.USER_REQUEST_TYPE, THROTTLE_QUERY),
            (Tag.USERNAME, self._comp_id),
        ]
        return Request(
            MsgType.USER_REQUEST,
            fields,
            lambda came: came.get(Tag.USER_REQUEST_ID) == request_id,
        )

    def _send(self, words: list[str]) -> Request:
        msg_type, *pairs = words
        return Request(msg_type, _parse_pairs(pairs))

    def _answered_by_name(self, msg_type: str, cl_ord_id: str, fields: Pairs) -> Request:
        return Request(
            msg_type,
            fields,
            lambda came: (
                cl_ord_id in (came.get(Tag.CL_ORD_ID), came.get(Tag.BUSINESS_REJECT_REF_ID))
            ),
        )

    def _find(self, name: str) -> OwnOrder:
        order = self._orders.find(name)
        if order is None:
            raise UsageError(f"no order {name} is known here; say orders or massstatus")
        return order

    def _named(self, name: str) -> Pairs:
        order = self._find(name)
        return [
            *([(Tag.ORDER_ID, order.order_id)] if order.order_id else []),
            (Tag.ORIG_CL_ORD_ID, order.cl_ord_id),
            (Tag.SYMBOL, order.symbol),
            (Tag.SIDE, order.side),
        ]

    def _handl_inst(self) -> Pairs:
        return [(Tag.HANDL_INST, AUTOMATED)] if self._is_4_2 else []

    def _now(self) -> str:
        return self._timestamps.format(time.time_ns())


def _scope(words: list[str]) -> tuple[str, Pairs]:
    """Return what is asked for: all orders of the account, of the session, or of an instrument."""
    if not words:
        return BY_ALL, []
    (word,) = words
    return (BY_SESSION, []) if word == "session" else (BY_SYMBOL, [(Tag.SYMBOL, word)])


def _ord_type(price: str, extra: Pairs) -> Pairs:
    if any(tag == Tag.ORD_TYPE for tag, _ in extra):
        return []
    return [(Tag.ORD_TYPE, LIMIT if price else MARKET)]


def _split_options(options: list[str]) -> tuple[list[str], Pairs]:
    times = [option for option in options if option in TIMES_IN_FORCE]
    return times, _parse_pairs([option for option in options if option not in TIMES_IN_FORCE])


def _parse_pairs(words: list[str]) -> Pairs:
    pairs = []
    for word in words:
        tag, equals, value = word.partition("=")
        if not equals or not value:
            raise ValueError(word)
        pairs.append((int(tag), value))
    return pairs
