"""Lays what REST finds in the database beside what the journal says, when all has come to rest."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

from fix_gateway.fix.fields import Fields, Tag
from fix_gateway.tools.chaos.journal_truth import JournalTruth
from fix_gateway.tools.chaos.reconcile import Finding, Kind
from fix_gateway.tools.rest import RestClient

WHO: Final = "database"
ORDER_FIELDS: Final = {
    "symbol": Tag.SYMBOL,
    "side": Tag.SIDE,
    "order_qty": Tag.ORDER_QTY,
    "cum_qty": Tag.CUM_QTY,
    "leaves_qty": Tag.LEAVES_QTY,
    "ord_status": Tag.ORD_STATUS,
}
EXECUTION_FIELDS: Final = {
    **ORDER_FIELDS,
    "exec_type": Tag.EXEC_TYPE,
    "cl_ord_id": Tag.CL_ORD_ID,
    "orig_cl_ord_id": Tag.ORIG_CL_ORD_ID,
    "last_qty": Tag.LAST_QTY,
    "last_px": Tag.LAST_PX,
}


@dataclass
class ReadModel:
    """What the searches have found: all orders and executions, and each account's entries."""

    seq: int
    orders: list[dict[str, Any]] = field(default_factory=list)
    executions: list[dict[str, Any]] = field(default_factory=list)
    entries: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


def read_read_model(rest: RestClient) -> ReadModel | None:
    """Return all that is found, None while the read model is not where the engine is.

    Raises RestError and OSError.
    """
    accounts = {row["name"]: row["account_id"] for row in rest.get_all("/v1/accounts")}
    seq = _engine_seq(rest, accounts)
    if _read_model_seq(rest) != seq:
        return None
    found = ReadModel(
        seq,
        rest.get_all("/v1/orders"),
        rest.get_all("/v1/executions"),
        {
            name: rest.get_all(f"/v1/accounts/{account_id}/ledger")
            for name, account_id in accounts.items()
        },
    )
    return found if _engine_seq(rest, accounts) == _read_model_seq(rest) == seq else None


def reconcile_read_model(found: ReadModel, truth: JournalTruth) -> Iterator[Finding]:
    """Yield every difference. `truth` is of the journal up to the record that was found."""
    reports = {
        exec_id: fields
        for client in truth.clients.values()
        for exec_id, fields in client.reports.items()
    }
    yield from _compare(
        "execution",
        {exec_id: _named(fields, EXECUTION_FIELDS) for exec_id, fields in reports.items()},
        [(row["exec_id"], _chosen(row, EXECUTION_FIELDS)) for row in found.executions],
    )
    yield from _compare(
        "order",
        {key: _named(fields, ORDER_FIELDS) for key, fields in _last_states(reports).items()},
        [(str(row["order_id"]), _chosen(row, ORDER_FIELDS)) for row in found.orders],
    )
    for name, entries in found.entries.items():
        yield from _check_entries(name, entries, truth)


def _compare(
    what: str, expected: dict[str, dict[str, Any]], rows: list[tuple[str, dict[str, Any]]]
) -> Iterator[Finding]:
    counts = Counter(key for key, _ in rows)
    yield from (_finding(f"{what} {key} is not there") for key in expected if key not in counts)
    for key, count in counts.items():
        if count > 1:
            yield _finding(f"{what} {key} is there {count} times")
        if key not in expected:
            yield _finding(f"{what} {key} is not in the journal")
    for key, row in rows:
        known = expected.get(key, row)
        if row != known:
            yield _finding(f"{what} {key}: {row}, in the journal {known}")


def _last_states(reports: dict[str, Fields]) -> dict[str, Fields]:
    """Return what was told of each order last, by its number; a refused one has its record's."""
    states: dict[str, Fields] = {}
    for exec_id in sorted(reports, key=_place_of):
        fields = reports[exec_id]
        states[fields.get(Tag.ORDER_ID, exec_id.partition(".")[0])] = fields
    return states


def _check_entries(
    name: str, entries: list[dict[str, Any]], truth: JournalTruth
) -> Iterator[Finding]:
    """The entries sum to the journal's balance, and the newest says so."""
    sums: defaultdict[str, Fraction] = defaultdict(Fraction)
    newest: dict[str, Fraction] = {}
    for entry in entries:
        sums[entry["asset"]] += Fraction(entry["amount"])
        newest.setdefault(entry["asset"], Fraction(entry["balance"]))
    balances = truth.clients[name].balances if name in truth.clients else Counter[str]()
    for asset in sorted(sums.keys() | balances.keys()):
        known = Fraction(balances[asset], 10 ** truth.decimals[asset])
        if not sums[asset] == newest.get(asset, Fraction()) == known:
            yield _finding(
                f"{name}: entries of {float(sums[asset])} {asset}, the newest says "
                f"{float(newest.get(asset, 0))}, in the journal {float(known)}"
            )


def _engine_seq(rest: RestClient, accounts: dict[str, int]) -> int:
    told = rest.get(f"/v1/accounts/{min(accounts.values())}/balances")
    return int(told["seq"]) if told["source"] == "engine" else -1


def _read_model_seq(rest: RestClient) -> int:
    return int(rest.get("/v1/orders?limit=1")["seq"])


def _named(fields: Fields, names: dict[str, int]) -> dict[str, Any]:
    return {name: fields.get(tag) for name, tag in names.items()}


def _chosen(row: dict[str, Any], names: dict[str, int]) -> dict[str, Any]:
    return {name: row[name] for name in names}


def _place_of(exec_id: str) -> tuple[int, int]:
    seq, _, index = exec_id.partition(".")
    return int(seq), int(index)


def _finding(text: str) -> Finding:
    return Finding(Kind.READ_MODEL, WHO, text)
