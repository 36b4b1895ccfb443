"""What happened over FIX is found over REST by whoever may see it, true up to a named record."""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest

from engine.runtime.faults import DELAY, FaultOrder, give_order
from fix_gateway.fix.fields import ExecType, Fields, Tag
from fix_gateway.tools import rest
from fix_gateway.tools.rest import RestClient
from store.users import Role
from tests.integration.command_line import wcx
from tests.integration.conftest import ConnectClient
from tests.integration.people import ALPHA, BETA, People
from tests.integration.trader import BUY, SELL, amend, cancel, enter, next_message, next_report
from tests.integration.venue_process import VenueProcess

DEMO1, DEMO2 = 1, 2
SYMBOL = "BTC-USD"


@pytest.fixture(scope="module")
def own_venue(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VenueProcess]:
    """A venue of this module alone, whose engine can be held up in its start."""
    data_dir = Path(shutil.copytree(template, tmp_path_factory.mktemp("searches") / "var"))
    (data_dir.parent / "faults").mkdir()
    settings = {
        "WCX_FAULT_DIR": str(data_dir.parent / "faults"),
        "WCX_PROJECTOR__ENABLED": "true",
    }
    venue = VenueProcess(data_dir, **settings).start()
    yield venue
    assert venue.stop() == 0, venue.log_text()


Ask = Callable[..., Any]


def asking(client: RestClient, venue: VenueProcess) -> Ask:
    """Return what searches once the read model knows all that has happened by now."""

    def ask(path: str, **query: object) -> Any:
        last_seq = client.get(f"/v1/accounts/{DEMO1}/balances")["seq"]
        url = f"/v1/{path}?{urlencode(query)}"
        venue.wait_for(lambda: client.get("/v1/orders?limit=1")["seq"] >= last_seq)
        return client.get(url)

    return ask


def usd_of(balances: Any) -> dict[str, str]:
    """Return the line of dollars."""
    (line,) = (line for line in balances["items"] if line["asset"] == "USD")
    return dict(line)


class Day(NamedTuple):
    """What was done: the names of orders, the first one's number, and what was told."""

    bid: str
    amended: str
    offer: str
    refused: str
    order_id: int
    fill: Fields
    rejected: Fields


def play_a_day(venue: VenueProcess, connect: ConnectClient) -> Day:
    """Enter, amend, trade, cancel, cancel what cannot be, and enter what cannot be paid."""
    alpha, beta = connect(venue, "DEMO1"), connect(venue, "DEMO2")
    bid = enter(alpha, BUY, "0.5", "100.00")
    order_id = int(next_report(alpha, ExecType.NEW)[Tag.ORDER_ID])
    amended = amend(alpha, bid, BUY, "0.4", "101.00")
    next_report(alpha, ExecType.REPLACED)
    offer = enter(beta, SELL, "0.1", "101.00")
    next_report(beta, ExecType.NEW)
    fill = next_report(beta, ExecType.TRADE)
    next_report(alpha, ExecType.TRADE)
    cancel(alpha, "nothing-of-the-kind", BUY)
    next_message(alpha, "9")
    cancel(alpha, amended, BUY)
    next_report(alpha, ExecType.CANCELED)
    cancel(alpha, amended, BUY)
    next_message(alpha, "9")
    refused = enter(beta, SELL, "199.0", "1000.00")
    rejected = next_report(beta, ExecType.REJECTED)
    return Day(bid, amended, offer, refused, order_id, fill, rejected)


def test_a_day_is_found(own_venue: VenueProcess, connect: ConnectClient) -> None:
    """Orders by all their names, one order's story, fills, matches, balances and the statement."""
    client = People(own_venue).client(Role.SUPPORT)
    ask = asking(client, own_venue)
    before = usd_of(client.get(f"/v1/accounts/{DEMO1}/balances"))
    bid, amended, offer, refused, order_id, fill, rejected = play_a_day(own_venue, connect)
    by_old_name = ask("orders", cl_ord_id=bid)
    assert by_old_name["items"] == ask("orders", cl_ord_id=amended)["items"]
    (order,) = by_old_name["items"]
    assert order == {
        **order,
        "order_id": order_id,
        "account": "DEMO1",
        "firm_id": ALPHA,
        "cl_ord_id": amended,
        "side": "1",
        "price": "101.00",
        "order_qty": "0.4000",
        "cum_qty": "0.1000",
        "leaves_qty": "0.0000",
        "avg_px": "101.0000",
        "ord_status": "4",
        "terms": None,
    }
    story = ask(f"orders/{order_id}")
    assert story["order"] == order
    assert [event["kind"] for event in story["items"]] == [
        "accepted",
        "replaced",
        "traded",
        "canceled",
        "cancel_rejected",
    ]
    assert story["items"][-1]["refusal"]["reason"] == "TOO_LATE_TO_CANCEL"
    assert story["seq"] >= int(story["items"][-1]["exec_id"].split(".")[0])

    (refusal,) = ask("orders", cl_ord_id=refused, ord_status="8", account_id=DEMO2)["items"]
    told = ask(f"orders/{refusal['order_id']}")["items"][0]["refusal"]
    assert (told["reason"], told["text"]) == ("INSUFFICIENT_BALANCE", rejected[Tag.TEXT])
    assert told["actual"] == "199.00000000 BTC"
    assert told["text"].endswith(f"needs {told['actual']}, available {told['limit']}")
    (told_fill,) = ask("executions", cl_ord_id=offer, exec_type="F")["items"]
    assert told_fill == {
        **told_fill,
        "exec_id": fill[Tag.EXEC_ID],
        "last_qty": "0.1000",
        "last_px": "101.00",
        "trade_id": fill[Tag.SECONDARY_EXEC_ID],
    }
    (trade,) = ask("trades", order_id=order_id)["items"]
    assert (trade["price"], trade["qty"], trade["aggressor_side"]) == ("101.00", "0.1000", "2")
    options = ("--account", "DEMO1", "--limit", "1", "--json")
    listed = json.loads(wcx(own_venue, "trades", "list", *options).stdout)
    assert (len(listed), listed[0]["trade_id"]) == (1, trade["trade_id"])
    assert (trade["buyer"]["account_id"], trade["seller"]["account_id"]) == (DEMO1, DEMO2)

    balances = ask(f"accounts/{DEMO1}/balances")
    assert balances["source"] == "engine"
    usd = usd_of(balances)
    assert usd == {**usd, "available": usd["balance"], "held": "0.00000000", "asset": "USD"}
    assert Decimal(usd["balance"]) == Decimal(before["balance"]) - Decimal("10.1")
    (entry,) = ask(f"accounts/{DEMO1}/ledger", asset="USD", limit=1)["items"]
    assert entry == {
        **entry,
        "kind": "trade",
        "amount": "-10.10000000",
        "balance": usd["balance"],
        "reference": fill[Tag.SECONDARY_EXEC_ID],
        "order_id": order_id,
    }


def test_pages_join_without_gap_or_overlap(
    own_venue: VenueProcess, connect: ConnectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while more comes; times and states narrow a search."""
    ask = asking(People(own_venue).client(Role.AUDITOR), own_venue)
    client = connect(own_venue, "T01")
    names = [enter(client, BUY, "0.01", f"{50 + number}.00") for number in range(7)]
    for _ in names:
        next_report(client, ExecType.NEW)
    account_id = ask("orders", cl_ord_id=names[0])["items"][0]["account_id"]
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = ask("orders", account_id=account_id, limit=3, **cursor)
        found += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
        names.append(enter(client, BUY, "0.01", "40.00"))
        next_report(client, ExecType.NEW)
    assert [order["cl_ord_id"] for order in reversed(found)] == names[:7]
    middle = found[3]["entered_at"]
    later = ask("orders", account_id=account_id, since=middle)["items"]
    earlier = ask("orders", account_id=account_id, until=middle, is_open=True)["items"]
    assert [order["cl_ord_id"] for order in reversed(earlier)] == names[:3]
    assert [order["cl_ord_id"] for order in reversed(later)] == names[3:]
    executions: list[str] = []
    cursor = {}
    while True:
        page = ask("executions", account_id=account_id, limit=4, **cursor)
        executions += [execution["cl_ord_id"] for execution in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert executions[::-1] == names
    monkeypatch.setattr(rest, "PAGE_ITEMS_MAX", 4)
    for count in (5, 1000):
        options = ("--account", "T01", "--limit", str(count), "--json")
        listed = json.loads(wcx(own_venue, "orders", "list", *options, "--symbol", SYMBOL).stdout)
        assert [order["cl_ord_id"] for order in listed] == names[::-1][:count]
    for name in names:
        cancel(client, name, BUY)
        next_report(client, ExecType.CANCELED)
    assert ask("orders", account_id=account_id, is_open=True)["items"] == []
    assert wcx(own_venue, "orders", "list", "--open", "--account", "T01").stdout.count("\n") == 1


def test_people_of_a_firm_see_their_own_side(
    own_venue: VenueProcess, connect: ConnectClient
) -> None:
    """Others' orders, accounts and halves of a trade do not exist for them."""
    people = People(own_venue)
    everybody, firm = people.client(Role.SUPPORT), people.client(Role.VIEWER, BETA)
    alpha, beta = connect(own_venue, "DEMO1"), connect(own_venue, "DEMO2")
    bid = enter(alpha, BUY, "0.1", "100.00")
    order_id = int(next_report(alpha, ExecType.NEW)[Tag.ORDER_ID])
    enter(beta, SELL, "0.1", "100.00")
    next_report(beta, ExecType.NEW)
    trade_id = int(next_report(beta, ExecType.TRADE)[Tag.SECONDARY_EXEC_ID])
    asking(everybody, own_venue)("orders", cl_ord_id=bid)
    assert firm.get(f"/v1/orders?cl_ord_id={bid}")["items"] == []
    assert firm.get(f"/v1/executions?order_id={order_id}")["items"] == []
    for path in (f"orders/{order_id}", f"accounts/{DEMO1}/balances", f"accounts/{DEMO1}/ledger"):
        assert firm.call("GET", f"/v1/{path}").status == 404
    newest = firm.get("/v1/trades?limit=1")["items"][0]
    assert (newest["trade_id"], newest["buyer"]) == (trade_id, None)
    assert newest["seller"]["account_id"] == DEMO2
    mine = firm.get("/v1/orders")["items"]
    assert {order["firm_id"] for order in mine} == {BETA}
    for path in ("orders", "executions", "trades", f"accounts/{DEMO2}/ledger"):
        wrong = firm.call("GET", f"/v1/{path}?cursor=WyJhIl0")
        assert (wrong.status, wrong.body["code"]) == (422, "invalid")


def test_book_is_told_as_the_engine_has_it(own_venue: VenueProcess, connect: ConnectClient) -> None:
    """Both sides from the best price on, as of the record that changed it last."""
    viewer = People(own_venue).client(Role.VIEWER, BETA)
    alpha, beta = connect(own_venue, "DEMO1"), connect(own_venue, "DEMO2")
    entered = []
    for client, side, qty, price in (
        (alpha, BUY, "0.1", "10.00"),
        (beta, BUY, "0.2", "10.00"),
        (alpha, BUY, "0.3", "9.00"),
        (alpha, SELL, "0.4", "99000.00"),
    ):
        entered.append((client, enter(client, side, qty, price), side))
        next_report(client, ExecType.NEW)
    seq = viewer.get(f"/v1/accounts/{DEMO2}/balances")["seq"]
    book = viewer.get("/v1/instruments/BTC-USD/book?levels=1")
    assert book == {
        **book,
        "symbol": "BTC-USD",
        "seq": seq,
        "state": "CONTINUOUS",
        "bids": [{"price": "10.00", "qty": "0.3000", "order_count": 2}],
        "asks": [{"price": "99000.00", "qty": "0.4000", "order_count": 1}],
    }
    assert viewer.get("/v1/instruments/BTC-USD/book")["bids"][1:] == [
        {"price": "9.00", "qty": "0.3000", "order_count": 1}
    ]
    assert viewer.call("GET", "/v1/instruments/NO-SUCH/book").status == 404
    for client, cl_ord_id, side in entered:
        cancel(client, cl_ord_id, side)
        next_report(client, ExecType.CANCELED)


def test_balances_are_told_while_the_engine_is_away(own_venue: VenueProcess) -> None:
    """As the read model has them; what is held is not known then. Everything else is found too."""
    client = People(own_venue).client(Role.SUPPORT)
    live = client.get(f"/v1/accounts/{DEMO2}/balances")
    own_venue.wait_for(lambda: client.get("/v1/orders?limit=1")["seq"] >= live["seq"])
    delay = FaultOrder(1, DELAY, 4.0)
    give_order(own_venue.data_dir.parent / "faults", "recovery.replayed", delay)
    os.kill(own_venue.running_pid("engine"), signal.SIGKILL)

    def is_away() -> bool:
        return bool(client.get(f"/v1/accounts/{DEMO2}/balances")["source"] == "read_model")

    own_venue.wait_for(is_away)
    assert client.call("GET", "/v1/instruments/BTC-USD/book").status == 503
    told = client.get(f"/v1/accounts/{DEMO2}/balances")
    assert {line["asset"]: line["balance"] for line in told["items"] if line["asset"]} == {
        line["asset"]: line["balance"] for line in live["items"]
    }
    assert all(line["held"] is None for line in told["items"])
    own_venue.wait_for(lambda: not is_away())
    own_venue.wait_for(lambda: own_venue.get("/readyz")[0] == 200)
