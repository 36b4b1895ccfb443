"""Risk over REST: limits, rules, modes and what-if hold at once and say why, and so does `wcx`."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fix_gateway.cli import app
from fix_gateway.fix.fields import ExecType, Tag
from tests.integration.command_line import wcx
from tests.integration.raw_client import RawClient
from tests.integration.venue_process import VenueProcess

ACCOUNT = 5  # Of T01, behind DEMO1 to DEMO4.


def put(venue: VenueProcess, path: str, body: dict[str, Any]) -> Any:
    """Do it, and return the answer."""
    status, answer = venue.call("PUT", path, body)
    assert status == 200, answer
    return answer


class Trader:
    """A client that enters one small order after the other."""

    def __init__(self, venue: VenueProcess) -> None:
        self._client = RawClient(venue.fix_port, "T01")
        self._client.log_on()

    def enter(self) -> tuple[str, str]:
        """Return the order's ClOrdID and why it was refused, "" for one that was accepted."""
        name = f"risk-{time.time_ns()}"
        self._client.send_bytes(self._client.order(name))
        answer = self._client.receive_type("8")
        while answer[Tag.CL_ORD_ID] != name:  # What an earlier client may not have received.
            answer = self._client.receive_type("8")
        return name, "" if answer[Tag.EXEC_TYPE] == ExecType.NEW else answer[Tag.TEXT]

    def leave(self) -> None:
        """Hang up."""
        self._client.cut()


@pytest.fixture(scope="module")
def own_venue(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VenueProcess]:
    """A venue whose limits, modes and orders disturb no others' tests."""
    data_dir = Path(shutil.copytree(template, tmp_path_factory.mktemp("risk") / "var"))
    venue = VenueProcess(data_dir).start()
    yield venue
    assert venue.stop() == 0, venue.log_text()


@pytest.fixture
def trader(own_venue: VenueProcess) -> Iterator[Trader]:
    trader = Trader(own_venue)
    assert trader.enter()[1] == ""
    yield trader
    assert trader.enter()[1] == ""
    trader.leave()


def test_limit_holds_for_the_next_order_and_is_explained(
    own_venue: VenueProcess, trader: Trader
) -> None:
    """Set, seen, met by an order over FIX, told in the same words everywhere, and taken away."""
    venue = own_venue
    limit = {
        "level": "FIRM",
        "scope": "ACCOUNT",
        "scope_id": ACCOUNT,
        "control": "ORDER_QTY",
        "value": "0.0001",
        "symbol": "BTC-USD",
    }
    seen = put(venue, "/v1/risk/controls", limit)
    done = {"change_id": seen["change_id"], "engine_seq": seen["engine_seq"]}
    assert seen == {**limit, "asset": None, "window_s": None, **done}
    seen |= dict.fromkeys(done)
    query = f"/v1/risk/controls?scope=ACCOUNT&scope_id={ACCOUNT}"
    assert venue.call("GET", query) == (200, {"items": [seen], "next_cursor": None})
    name, text = trader.enter()
    assert text.startswith("FAT_FINGER_QTY: order qty ")
    explained = CliRunner().invoke(
        app, ["risk", "explain", name, "--json"], env={"WCX_DATA_DIR": str(venue.data_dir)}
    )
    assert explained.exit_code == 0, explained.output
    refusal = json.loads(explained.stdout)
    told = (refusal["code"], refusal["level"], refusal["account"], refusal["text"], refusal["high"])
    assert told == ("FAT_FINGER_QTY", "FIRM", "T01", text, "0.0001")
    asked = {
        "symbol": "BTC-USD",
        "side": "BUY",
        "ord_type": "LIMIT",
        "order_qty": "0.0002",
        "price": "100",
    }
    status, answer = venue.call("POST", f"/v1/accounts/{ACCOUNT}/what-if", asked)
    assert (status, answer["would_be_accepted"]) == (200, False)
    assert answer["refusal"]["code"] == "FAT_FINGER_QTY"
    wider = {**limit, "level": "CLIENT", "value": "1"}
    status, problem = venue.call("PUT", "/v1/risk/controls", wider)
    assert (status, problem["code"], problem["detail"]) == (
        409, "not_tighter", "NOT_TIGHTER: a client's limit can only be tighter than what holds",
    )  # fmt: skip
    put(venue, "/v1/risk/controls", {**limit, "value": None})


def test_mode_holds_until_it_is_ended(own_venue: VenueProcess, trader: Trader) -> None:
    """By whoever has set it, at once."""
    venue = own_venue
    mode = {
        "scope": "ACCOUNT",
        "scope_id": ACCOUNT,
        "level": "OPERATOR",
        "mode": "CANCEL_ONLY",
        "reason": "a test",
    }
    put(venue, "/v1/risk/modes", mode)
    assert trader.enter()[1] == "CANCEL_ONLY: nothing but cancels is taken"
    (row,) = venue.call("GET", "/v1/risk/modes")[1]["items"]
    assert (row["mode"], row["cause"]) == ("CANCEL_ONLY", "PERSON")
    put(venue, "/v1/risk/modes", {**mode, "mode": "NORMAL"})
    assert venue.call("GET", "/v1/risk/modes") == (
        200,
        {"items": [], "next_cursor": None},
    )


def test_rules_of_an_instrument_are_replaced_whole(own_venue: VenueProcess, trader: Trader) -> None:
    """What is read can be written back, and then all is as it was."""
    venue = own_venue
    path = "/v1/instruments/BTC-USD/rules"
    before = venue.call("GET", path)[1]
    price = {"price": "61000.00"}
    assert put(venue, "/v1/instruments/BTC-USD/reference-price", price) == price
    seen = put(venue, path, {"price_max": "0.50", "breaker": {"band_bps": 500}})
    assert (seen["price_max"], seen["breaker"]["pause_s"]) == ("0.50", 300)
    assert trader.enter()[1].startswith("PRICE_RANGE: price ")
    restored = {name: value for name, value in before.items() if name != "symbol"}
    put(venue, path, restored)
    assert venue.call("GET", path) == (200, before)


def test_share_of_the_daily_volume_is_set_alone(own_venue: VenueProcess, trader: Trader) -> None:
    """Over REST and by `wcx`, tightened by one and taken away; the other rules stay."""
    venue = own_venue
    path = "/v1/instruments/BTC-USD/rules"
    before = venue.call("GET", path)[1]
    wanted = {"volume_share_max_bps": 500, "average_daily_volume": "30"}
    status, seen = venue.call("PATCH", path, wanted)
    assert (status, {name: seen[name] for name in before}) == (
        200,
        {**before, **wanted, "average_daily_volume": "30.0000"},
    )
    assert trader.enter()[1] == ""
    tightened = wcx(venue, "risk", "rules", "BTC-USD", "average_daily_volume=10", "--json")
    assert (tightened.code, tightened.stderr) == (0, "")
    assert json.loads(tightened.stdout)["average_daily_volume"] == "10.0000"
    assert trader.enter()[1] == (
        "MAX_VOLUME_SHARE: order qty 1.0000 above 0.5000, a share of a day's volume"
    )
    shown = wcx(venue, "risk", "rules", "BTC-USD", "--json")
    assert json.loads(shown.stdout) == {
        **before, "volume_share_max_bps": 500, "average_daily_volume": "10.0000",
    }  # fmt: skip
    ended = wcx(venue, "risk", "rules", "BTC-USD", "volume_share_max_bps=0",
                "average_daily_volume=null")  # fmt: skip
    assert (ended.code, ended.stderr) == (0, "")
    assert venue.call("GET", path) == (200, before)
    wrong = wcx(venue, "risk", "rules", "BTC-USD", "luck")
    assert wrong.code == 2


def test_limits_are_shown_and_set_by_wcx(own_venue: VenueProcess, trader: Trader) -> None:
    """As over REST: met by the next order, shown, tightened, and taken away."""
    venue = own_venue
    mine = ("risk", "limits", "T01")
    done = wcx(venue, *mine, "ORDER_QTY", "0.5", "--symbol", "BTC-USD", "--level", "firm")
    assert (done.code, done.stderr) == (0, "")
    assert trader.enter()[1].startswith("FAT_FINGER_QTY: order qty 1.0000 ")
    shown = wcx(venue, *mine, "--json")
    assert [(row["control"], row["value"], row["level"]) for row in json.loads(shown.stdout)] == [
        ("ORDER_QTY", "0.5000", "FIRM")
    ]
    ended = wcx(venue, *mine, "ORDER_QTY", "none", "--symbol", "BTC-USD", "--level", "firm")
    assert (ended.code, ended.stderr) == (0, "")
    assert json.loads(wcx(venue, *mine, "--json").stdout) == []
    day = ("GROSS_EXPOSURE", "5000000", "--asset", "USD", "--window-s", "86400", "--of")
    for of, name in (("firm", "ALPHA"), ("session", "DEMO1"), ("user", "admin")):
        set_one = wcx(venue, "risk", "limits", name, *day, of)
        if of == "firm":
            assert (set_one.code, set_one.stderr) == (0, "")
            shown = wcx(venue, "risk", "limits", name, "--of", of)
            assert shown.stdout.splitlines()[1].split() == [
                "GROSS_EXPOSURE", "5000000.00000000", "-", "USD", "86400", "OPERATOR",
            ]  # fmt: skip
        else:
            assert (set_one.code, set_one.stdout) == (1, "")
            assert set_one.stderr.startswith("wcx: UNSUPPORTED: ")
    assert wcx(venue, *mine, "ORDER_QTY").code == 2


def test_what_does_not_fit_is_said(own_venue: VenueProcess) -> None:
    """By field, and nothing is sent to the exchange."""
    venue = own_venue
    limit = {
        "level": "OPERATOR",
        "scope": "ACCOUNT",
        "scope_id": ACCOUNT,
        "control": "ORDER_QTY",
        "value": "0.00001",
        "symbol": "BTC-USD",
    }
    status, problem = venue.call("PUT", "/v1/risk/controls", limit)
    assert (status, problem["detail"]) == (
        422,
        "body.value: '0.00001' is no number of at most 4 decimals",
    )
    status, problem = venue.call("PUT", "/v1/risk/controls", {**limit, "control": "LUCK"})
    assert status == 422
    assert "RESTRICTED, ORDER_QTY" in problem["detail"]
    for path, wish in (
        ("/v1/instruments/BTC-EUR/rules", {}),
        ("/v1/risk/controls", {**limit, "symbol": "BTC-EUR"}),
    ):
        assert venue.call("PUT", path, wish)[0] == 404
    status, problem = venue.call("PUT", "/v1/instruments/BTC-USD/rules", {"price_min": "1.001"})
    assert (status, problem["detail"]) == (
        422,
        "body.price_min: '1.001' does not fit the instrument's prices",
    )


def test_refusal_that_is_not_there_is_an_error(own_venue: VenueProcess) -> None:
    """And the list of controls is printed without a venue."""
    env = {"WCX_DATA_DIR": str(own_venue.data_dir)}
    missing = CliRunner().invoke(app, ["risk", "explain", "nobody-1"], env=env)
    assert missing.exit_code == 1
    assert "no refusal of nobody-1" in missing.output
    printed = CliRunner().invoke(app, ["risk", "controls"], env=env)
    assert printed.exit_code == 0
    assert "`PRICE_COLLAR`" in printed.output
