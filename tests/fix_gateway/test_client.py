"""What `wcx client` makes of what is typed, and of what it is told."""

import pytest

from fix_gateway.fix.fields import Fields, MsgType, Tag
from fix_gateway.tools.client.own_orders import OwnOrders
from fix_gateway.tools.client.requests import Request, RequestMaker, UsageError


@pytest.fixture
def orders() -> OwnOrders:
    return OwnOrders()


@pytest.fixture
def maker(orders: OwnOrders) -> RequestMaker:
    return RequestMaker("DEMO1", "FIX.4.4", orders)


def make(maker: RequestMaker, line: str) -> Request:
    verb, *words = line.split()
    return maker.make(verb, words)


def said(request: Request) -> dict[int, str]:
    """Return the fields whose values can be known beforehand."""
    unknown = {
        Tag.CL_ORD_ID, Tag.TRANSACT_TIME, Tag.ORD_STATUS_REQ_ID, Tag.MASS_STATUS_REQ_ID,
        Tag.TRAD_SES_REQ_ID,
    }  # fmt: skip
    return {int(tag): value for tag, value in request.fields if tag not in unknown}


def report(order_id: str, cl_ord_id: str, exec_id: str, **fields: str) -> Fields:
    names = {name.upper(): value for name, value in fields.items()}
    return {
        Tag.MSG_TYPE: MsgType.EXECUTION_REPORT,
        Tag.ORDER_ID: order_id,
        Tag.CL_ORD_ID: cl_ord_id,
        Tag.EXEC_ID: exec_id,
        Tag.SYMBOL: "BTC-USD",
        Tag.SIDE: "1",
        **{getattr(Tag, name): value for name, value in names.items()},
    }


@pytest.mark.parametrize(
    ("line", "msg_type", "fields"),
    [
        (
            "buy 0.5 BTC-USD 60000",
            "D",
            {55: "BTC-USD", 54: "1", 38: "0.5", 40: "2", 44: "60000", 59: "1"},
        ),
        ("sell 1 ETH-USD market ioc", "D", {55: "ETH-USD", 54: "2", 38: "1", 40: "1", 59: "3"}),
        (
            "sell 1 ETH-USD 9 day 40=4 99=10 18=6",
            "D",
            {55: "ETH-USD", 54: "2", 38: "1", 40: "4", 44: "9", 59: "0", 99: "10", 18: "6"},
        ),
        ("trading", "g", {263: "0"}),
        ("trading BTC-USD watch", "g", {336: "BTC-USD", 263: "1"}),
        ("masscancel", "q", {530: "7"}),
        ("masscancel session sell", "q", {530: "6", 54: "2"}),
        ("masscancel BTC-USD", "q", {530: "1", 55: "BTC-USD"}),
        ("massstatus BTC-USD", "AF", {585: "1", 55: "BTC-USD"}),
        ("resend 7.0 9.1", "F3", {22003: "7.0", 22004: "9.1"}),
        ("send AF 584=x 585=7", "AF", {585: "7"}),
    ],
)
def test_line_becomes_a_message(
    maker: RequestMaker, line: str, msg_type: str, fields: dict[int, str]
) -> None:
    """Every word lands in its field."""
    request = make(maker, line)
    assert (request.msg_type, said(request)) == (msg_type, fields)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("buy 1", "like this: buy QTY SYMBOL PRICE|market [day|gtc|ioc|fok] [TAG=VALUE ...]"),
        (
            "buy 1 BTC-USD 2 gtx",
            "like this: buy QTY SYMBOL PRICE|market [day|gtc|ioc|fok] [TAG=VALUE ...]",
        ),
        ("cancel", "like this: cancel ORDER              cancel an order: its number here, "),
        ("cancel 7", "no order 7 is known here; say orders or massstatus"),
        ("fly", "fly? Say help"),
    ],
)
def test_what_is_not_understood_is_explained(maker: RequestMaker, line: str, words: str) -> None:
    """Nothing is sent on a guess."""
    with pytest.raises(UsageError) as refused:
        make(maker, line)
    assert str(refused.value).startswith(words)


def test_order_is_named_by_number_through_its_whole_life(
    maker: RequestMaker, orders: OwnOrders
) -> None:
    """Entered, amended, filled in part: `1` always means it, under its present ClOrdID."""
    entered = make(maker, "buy 5 BTC-USD 100")
    name = dict(entered.fields)[Tag.CL_ORD_ID]
    assert [order.describe() for order in orders.all()] == [
        f"#1  buy  5  BTC-USD  at 100  sent  ClOrdID {name}"
    ]
    orders.note(report("77", name, "1.0", exec_type="0", ord_status="0", leaves_qty="5"))
    orders.note(
        report("77", "n2", "2.0", orig_cl_ord_id=name, exec_type="5", ord_status="0", price="99")
    )
    fill = report("77", "n2", "3.0", exec_type="F", ord_status="1", cum_qty="2", avg_px="98.5")
    orders.note(fill)
    # An old report again, as after a break.
    orders.note(report("77", name, "1.0", exec_type="0", ord_status="0", cum_qty="0"))
    assert said(make(maker, "cancel 1")) == {37: "77", 41: "n2", 55: "BTC-USD", 54: "1"}
    assert [order.describe() for order in orders.all()] == [
        "#1  buy  5  BTC-USD  at 99  partly filled  2 filled at 98.5  ClOrdID n2  OrderID 77"
    ]


def test_order_of_an_earlier_run_is_known_from_one_report(orders: OwnOrders) -> None:
    """Also one that is cancelled at that moment: 11 is the request's name then, 41 the order's."""
    orders.note(
        report("8", "x1", "4.0", orig_cl_ord_id="o1", exec_type="4", ord_status="4", order_qty="3")
    )
    order = orders.find("8")
    assert order is not None
    assert (order.cl_ord_id, order.state, order.is_open) == ("o1", "4", False)


def test_order_that_was_refused_with_its_message_is_not_open(
    maker: RequestMaker, orders: OwnOrders
) -> None:
    """BusinessMessageReject(j) names it by BusinessRejectRefID(379)."""
    name = dict(make(maker, "buy 5 BTC-USD 100").fields)[Tag.CL_ORD_ID]
    orders.note({Tag.MSG_TYPE: "j", Tag.BUSINESS_REJECT_REF_ID: name})
    assert [order.state for order in orders.all()] == ["8"]
