"""Lays what a client was told beside what the journal says: nothing lost, nothing doubled.

Each difference is a `Finding`. A run in which there is none has kept every promise.
"""

from collections import Counter, defaultdict
from enum import Enum
from fractions import Fraction
from typing import Final, NamedTuple

from fix_gateway.fix.fields import ExecType, Fields, MsgType, Tag
from fix_gateway.tools.chaos.journal_truth import ClientTruth, JournalTruth
from fix_gateway.tools.chaos.truth import YES, TruthLog, is_repeat

BUY: Final = "1"


class Kind(Enum):
    """What is wrong, in the words of the table that a run prints."""

    LOST = "lost"
    DOUBLED = "doubled"
    DISAGREES = "disagreeing"
    REFUSED_EXECUTED = "refused but executed"
    REORDERED = "out of order"
    GAP = "gap left open"
    READ_MODEL = "database disagreeing"
    MARKET_DATA = "market data disagreeing"
    UNVERIFIED = "not verified"


class Finding(NamedTuple):
    """One broken promise: of which kind, to whom, and what it is."""

    kind: Kind
    comp_id: str
    text: str


def reconcile(log: TruthLog, truth: JournalTruth) -> list[Finding]:
    """Return all differences between one client's log and the journal, [] for none.

    The client must have been logged on, and left in peace, until nothing more came.
    """
    client = truth.clients[log.comp_id]
    reports = log.reports()
    differences = [
        *_check_orders(log, client),
        *_check_answers(log, client),
        *_check_reports(reports, client),
        *_check_cancel_rejects(log, client),
        *_check_marks(reports, "told"),
        *_check_order_of(reports),
        *_check_fills(reports, client, truth),
        *_check_wire(log),
    ]
    return [Finding(kind, log.comp_id, text) for kind, text in differences]


Differences = list[tuple[Kind, str]]


def _check_orders(log: TruthLog, client: ClientTruth) -> Differences:
    found: Differences = []
    refused = log.refused_at_the_door()
    journaled = client.accepted + client.rejected
    for cl_ord_id, count in journaled.items():
        if count > 1:
            found.append((Kind.DOUBLED, f"order {cl_ord_id} was entered {count} times"))
        if cl_ord_id in refused:
            found.append(
                (Kind.REFUSED_EXECUTED, f"order {cl_ord_id} was refused at the door, then entered")
            )
    found.extend(
        (Kind.LOST, f"order {cl_ord_id} was passed over as seen before, and it had not been")
        for cl_ord_id in sorted(client.passed_over - set(journaled))
    )
    return found


def _check_answers(log: TruthLog, client: ClientTruth) -> Differences:
    """Every message got an answer. A client that resets may have sent into a dying connection."""
    if log.is_reset:
        return []
    answered = log.answered()
    sent = {
        **log.sent(MsgType.NEW_ORDER_SINGLE),
        **log.sent(MsgType.ORDER_CANCEL_REQUEST),
    }
    return [
        (Kind.LOST, f"{fields[Tag.MSG_TYPE]} {cl_ord_id} was never answered")
        for cl_ord_id, fields in sent.items()
        if cl_ord_id not in answered
    ]


def _check_reports(reports: list[Fields], client: ClientTruth) -> Differences:
    found: Differences = []
    told = {fields[Tag.EXEC_ID] for fields in reports}
    found.extend(
        (Kind.LOST, f"report {exec_id} of order {fields.get(Tag.CL_ORD_ID)} never came")
        for exec_id, fields in client.reports.items()
        if exec_id not in told
    )
    for fields in reports:
        expected = client.reports.get(fields[Tag.EXEC_ID])
        if expected is None:
            text = f"report {fields[Tag.EXEC_ID]} tells of what is not in the journal: {fields}"
            found.append((Kind.LOST, text))
            continue
        wrong = {
            int(tag): (fields.get(tag), value)
            for tag, value in expected.items()
            if fields.get(tag) != value
        }
        if wrong:
            text = f"report {fields[Tag.EXEC_ID]}: tag, told and journaled {wrong}"
            found.append((Kind.DISAGREES, text))
    return found


def _check_cancel_rejects(log: TruthLog, client: ClientTruth) -> Differences:
    refused = log.refused_at_the_door()
    rejects = [
        fields
        for fields in log.received(MsgType.ORDER_CANCEL_REJECT)
        if fields[Tag.CL_ORD_ID] not in refused
    ]
    told = Counter(fields[Tag.CL_ORD_ID] for fields in rejects if not is_repeat(fields))
    known = {fields[Tag.CL_ORD_ID] for fields in rejects}
    found: Differences = [
        (Kind.REFUSED_EXECUTED, f"cancel {cl_ord_id} was refused at the door, then entered")
        if cl_ord_id in refused
        else (Kind.LOST, f"OrderCancelReject of {cl_ord_id} never came")
        for cl_ord_id in client.cancel_rejects
        if cl_ord_id not in known
    ]
    found.extend(
        (Kind.DOUBLED, f"OrderCancelReject of {cl_ord_id} came {count} times without a mark")
        for cl_ord_id, count in told.items()
        if count > 1
    )
    return found


def _check_marks(reports: list[Fields], verb: str) -> Differences:
    unmarked = Counter(fields[Tag.EXEC_ID] for fields in reports if not is_repeat(fields))
    return [
        (Kind.DOUBLED, f"report {exec_id} was {verb} {count} times without a mark")
        for exec_id, count in unmarked.items()
        if count > 1
    ]


def _check_order_of(reports: list[Fields]) -> Differences:
    """What is told for the first time comes in the order in which it happened."""
    found: Differences = []
    seen: set[str] = set()
    last = (0, 0)
    for fields in reports:
        exec_id = fields[Tag.EXEC_ID]
        if exec_id in seen:
            continue
        seen.add(exec_id)
        seq, _, index = exec_id.partition(".")
        position = (int(seq), int(index))
        if position < last:
            found.append((Kind.REORDERED, f"report {exec_id} came first after {last}"))
        last = max(last, position)
    return found


def _check_fills(reports: list[Fields], client: ClientTruth, truth: JournalTruth) -> Differences:
    """CumQty(14) is the sum of the fills, and the fills explain the balances."""
    found: Differences = []
    fills = {
        fields[Tag.EXEC_ID]: fields for fields in reports if fields[Tag.EXEC_TYPE] == ExecType.TRADE
    }
    filled: defaultdict[str, Fraction] = defaultdict(Fraction)
    cum_qty: defaultdict[str, Fraction] = defaultdict(Fraction)
    moved: defaultdict[str, Fraction] = defaultdict(Fraction)
    for fields in fills.values():
        order_id, qty = fields[Tag.ORDER_ID], Fraction(fields[Tag.LAST_QTY])
        filled[order_id] += qty
        cum_qty[order_id] = max(cum_qty[order_id], Fraction(fields[Tag.CUM_QTY]))
        base, _, quote = fields[Tag.SYMBOL].partition("-")
        sign = 1 if fields[Tag.SIDE] == BUY else -1
        moved[base] += sign * qty
        moved[quote] -= sign * qty * Fraction(fields[Tag.LAST_PX])
    for order_id, qty in filled.items():
        if qty != cum_qty[order_id]:
            text = f"order {order_id}: fills of {float(qty)}, CumQty {float(cum_qty[order_id])}"
            found.append((Kind.DISAGREES, text))
    for asset, balance in client.balances.items():
        known = client.deposits[asset] + moved[asset] * 10 ** truth.decimals[asset]
        if known != balance:
            text = f"{asset}: {balance} in the journal, {known} by the client's own fills"
            found.append((Kind.DISAGREES, text))
    return found


def _check_wire(log: TruthLog) -> Differences:
    """What left the gateway: no ExecID(17) twice without a mark, no number used twice or left out.

    Between two resets of the numbers, messages that are not resent count up by one.
    """
    found: Differences = []
    reports: list[Fields] = []
    last: int | None = None
    for is_reset, messages in log.connections():
        if not messages or messages[0][Tag.MSG_TYPE] != MsgType.LOGON:
            continue  # Refused by the edge, in whose Logout the number means nothing.
        if is_reset:
            last = None
        expected: int | None = None
        for fields in messages:
            if fields[Tag.MSG_TYPE] == MsgType.EXECUTION_REPORT:
                reports.append(fields)
            if fields.get(Tag.POSS_DUP_FLAG) == YES:
                continue
            number = int(fields[Tag.MSG_SEQ_NUM])
            if last is not None and number <= last:
                found.append((Kind.DOUBLED, f"MsgSeqNum {number} was used after {last}"))
            if expected is not None and number > expected:
                found.append((Kind.GAP, f"MsgSeqNum {number} follows {expected - 1}"))
            expected, last = number + 1, number
    return [*found, *_check_marks(reports, "sent")]
