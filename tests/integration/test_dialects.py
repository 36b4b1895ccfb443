"""The same life of an order in every version of FIX: every report, in its version's words."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from fix_gateway.fix.dictionary import BEGIN_STRINGS, load_version
from fix_gateway.fix.fields import Fields, MsgType, Tag
from tests.integration.conftest import ConnectClient
from tests.integration.raw_client import RawClient
from tests.integration.trader import (
    BUY,
    SELL,
    amend,
    assert_silent,
    body,
    cancel,
    enter,
    next_message,
)
from tests.integration.venue_process import VenueProcess

SESSIONS = {"FIX.4.2": "U01", "FIX.4.4": "T03", "FIXT.1.1": "V01"}
OTHER_SIDE = "T04"
TIMESTAMP_LENGTHS = {"FIX.4.2": 21, "FIX.4.4": 21, "FIXT.1.1": 24}

every_version = pytest.mark.parametrize("begin_string", list(SESSIONS))


def next_legal_report(client_version: str, fields: Fields) -> Fields:
    """Return the report without what cannot be known beforehand, all of it legal in the version."""
    version = load_version(BEGIN_STRINGS[client_version])
    known = {field.tag: field.values for field in version.fields.values()}
    for tag, value in body(fields).items():
        assert tag in version.tags(fields[Tag.MSG_TYPE]), (tag, value)
        assert not known[tag] or value in known[tag], (tag, value)
    for tag in (Tag.SENDING_TIME, Tag.TRANSACT_TIME):
        assert len(fields[tag]) == TIMESTAMP_LENGTHS[client_version]
    return body(fields)


@every_version
def test_order_lives_the_same_life(
    shared_venue: VenueProcess, connect: ConnectClient, begin_string: str
) -> None:
    """New, amended, filled in part, filled; another one canceled and canceled too late."""
    client = connect(shared_venue, SESSIONS[begin_string], begin_string=begin_string)
    other = connect(shared_venue, OTHER_SIDE)
    is_4_2, is_fixt = begin_string == "FIX.4.2", begin_string == "FIXT.1.1"

    def report() -> Fields:
        return next_legal_report(begin_string, next_message(client))

    bid = enter(client, BUY, "0.5", "60000", **({"21": "1"} if is_4_2 else {}))
    new = report()
    order_id = new[Tag.ORDER_ID]
    order = {
        1: SESSIONS[begin_string], 37: order_id, 38: "0.5000", 40: "2", 44: "60000.00", 54: "1",
        55: "BTC-USD", 59: "1", **({20: "0"} if is_4_2 else {}),
    }  # fmt: skip
    assert new == order | {
        6: "0", 11: bid, 14: "0.0000", 17: f"{order_id}.0", 39: "0", 150: "0", 151: "0.5000",
    }  # fmt: skip

    amended = amend(client, bid, BUY, "0.3", "60001")
    replaced = report()
    order |= {11: amended, 38: "0.3000", 44: "60001.00"}
    assert replaced == order | {
        6: "0", 14: "0.0000", 17: replaced[17], 39: "0", 41: bid, 150: "5", 151: "0.3000",
    }  # fmt: skip

    enter(other, SELL, "0.1", "60001", time_in_force="3")
    partial = report()
    traded = {17: partial[17], 31: "60001.00", 32: "0.1000"}
    if not is_4_2:
        traded |= {(880 if is_fixt else 527): partial[880 if is_fixt else 527], 851: "1"}
    if is_fixt:
        traded |= {1057: "N"}
    assert partial == order | traded | {
        6: "60001.0000", 14: "0.1000", 39: "1", 150: "1" if is_4_2 else "F", 151: "0.2000",
    }  # fmt: skip

    enter(other, SELL, "0.2", "60001", time_in_force="3")
    filled = report()
    assert {tag: filled[tag] for tag in (14, 32, 39, 150, 151)} == {
        14: "0.3000", 32: "0.2000", 39: "2", 150: "2" if is_4_2 else "F", 151: "0.0000",
    }  # fmt: skip

    too_late = cancel(client, amended, BUY)
    assert report() == {
        1: SESSIONS[begin_string], 11: too_late, 37: order_id, 39: "2", 41: amended, 102: "0",
        434: "1", 58: "TOO_LATE_TO_CANCEL: the order has ended",
    }  # fmt: skip

    ask = enter(client, SELL, "0.1", "70000")
    assert report()[Tag.EXEC_TYPE] == "0"
    request = cancel(client, ask, SELL)
    canceled = report()
    assert {tag: canceled[tag] for tag in (11, 14, 39, 41, 150, 151)} == {
        11: request, 14: "0.0000", 39: "4", 41: ask, 150: "4", 151: "0.0000",
    }  # fmt: skip
    assert_silent(client, 0.1)


REFUSALS = {
    "lot": ({"qty": "0.00001"}, {"FIX.4.2": "0", "FIX.4.4": "13", "FIXT.1.1": "13"}),
    "tick": ({"price": "1.001"}, {"FIX.4.2": "0", "FIX.4.4": "99", "FIXT.1.1": "18"}),
    "quantity": ({"qty": "201"}, {"FIX.4.2": "3", "FIX.4.4": "3", "FIXT.1.1": "26"}),
    "value": (
        {"qty": "100", "price": "50000.01"},
        {"FIX.4.2": "3", "FIX.4.4": "3", "FIXT.1.1": "27"},
    ),
    "funds": (
        {"qty": "100", "price": "10000.01"},
        {"FIX.4.2": "0", "FIX.4.4": "0", "FIXT.1.1": "25"},
    ),
    "account": ({"1": "DEMO2"}, {"FIX.4.2": "0", "FIX.4.4": "15", "FIXT.1.1": "15"}),
    "symbol": ({"symbol": "DOGE"}, {"FIX.4.2": "1", "FIX.4.4": "1", "FIXT.1.1": "1"}),
}


@every_version
def test_refusals_have_codes_that_the_version_knows(
    shared_venue: VenueProcess, connect: ConnectClient, begin_string: str
) -> None:
    """OrdRejReason(103), CxlRejReason(102) and BusinessRejectReason(380)."""
    client = connect(shared_venue, SESSIONS[begin_string], begin_string=begin_string)
    for name, (order, codes) in REFUSALS.items():
        terms = {"qty": "1", "price": "100.00"} | order
        enter(client, BUY, terms.pop("qty"), terms.pop("price"), **terms)
        refused = next_legal_report(begin_string, next_message(client))
        assert (refused[39], refused[150], refused[103]) == ("8", "8", codes[begin_string]), name
    cancel(client, "nothing", BUY)
    unknown = next_legal_report(begin_string, next_message(client))
    assert (unknown[102], unknown[37], unknown[39]) == ("1", "NONE", "8")
    client.send("R" if begin_string == "FIX.4.2" else "AJ", [(131, "q1")])
    unspoken = next_message(client, MsgType.BUSINESS_MESSAGE_REJECT)
    assert unspoken[Tag.BUSINESS_REJECT_REASON] == "3"


@every_version
def test_logon_says_what_is_wrong(shared_venue: VenueProcess, begin_string: str) -> None:
    """A wrong password in every version; over FIXT.1.1 also with SessionStatus(1409)."""
    port = shared_venue.fix_port
    with RawClient(port, SESSIONS[begin_string], begin_string=begin_string) as client:
        client.send_bytes(client.logon_message(password="wrong"))
        (refusal,) = client.receive_all_until_closed()
    assert refusal[Tag.TEXT] == "logon refused"
    is_fixt = begin_string == "FIXT.1.1"
    assert refusal.get(Tag.SESSION_STATUS) == ("5" if is_fixt else None)


@every_version
def test_too_many_orders_are_told_as_the_version_can(
    shared_venue: VenueProcess, begin_string: str
) -> None:
    """Over FIXT.1.1 by BusinessMessageReject 380=8 with the ClOrdID, else by the order's report."""
    comp_id = {"FIX.4.2": "U01", "FIX.4.4": "T03", "FIXT.1.1": "V02"}[begin_string]
    _, found = shared_venue.call("GET", "/v1/sessions")
    (path,) = (
        f"/v1/sessions/{item['session_id']}"
        for item in found["items"]
        if item["client_comp_id"] == comp_id
    )
    assert shared_venue.call("PATCH", path, {"order_rate": 1, "order_burst": 1})[0] == 200
    try:
        with RawClient(shared_venue.fix_port, comp_id, begin_string=begin_string) as client:
            client.log_on()
            for _ in range(2):
                client.send_bytes(client.order("no good", price="1.00"))
            client.receive_type(MsgType.EXECUTION_REPORT)
            throttled = client.receive()
    finally:
        unlimited = {"order_rate": None, "order_burst": None}
        assert shared_venue.call("PATCH", path, unlimited)[0] == 200
    assert throttled[Tag.TEXT].startswith("RATE_LIMIT: ")
    if begin_string == "FIXT.1.1":
        assert (throttled[35], throttled[379], throttled[380]) == ("j", "no good", "8")
    else:
        code = "0" if begin_string == "FIX.4.2" else "99"
        assert (throttled[35], throttled[39], throttled[103]) == ("8", "8", code)


@pytest.mark.parametrize("asked", ["7", ""])
def test_other_versions_over_fixt_are_refused(shared_venue: VenueProcess, asked: str) -> None:
    """DefaultApplVerID(1137) must be 9."""
    with RawClient(shared_venue.fix_port, "V02", begin_string="FIXT.1.1") as client:
        fields = [(98, "0"), (108, "30"), (141, "Y"), (553, "V02"), (554, "demo-password")]
        if asked:
            fields.append((1137, asked))
        client.send_bytes(client.message(MsgType.LOGON, *fields))
        (refusal,) = client.receive_all_until_closed()
    assert refusal[Tag.TEXT] == "DefaultApplVerID(1137) must be 9, FIX 5.0 SP2"


@every_version
def test_signed_logon_opens_a_session_of_any_version(
    shared_venue: VenueProcess, begin_string: str
) -> None:
    """The signature is of the same five values, whatever the version is."""
    comp_id = SESSIONS[begin_string]
    _, found = shared_venue.call("GET", "/v1/sessions")
    (session_id,) = (
        item["session_id"] for item in found["items"] if item["client_comp_id"] == comp_id
    )
    path = f"/v1/sessions/{session_id}/credentials"
    status, made = shared_venue.call("POST", path, {"kind": "ed25519"})
    assert status == 201
    key = load_pem_private_key(made["private_key"].encode(), None)
    assert isinstance(key, Ed25519PrivateKey)
    username = made["username"]
    with RawClient(shared_venue.fix_port, comp_id, begin_string=begin_string) as client:
        client.send_bytes(client.signed_logon_message(key, username))
        assert client.receive()[Tag.MSG_TYPE] == MsgType.LOGON
