"""Replay: apply the journal's commands again and compare what happens with what happened.

Every start of the engine is therefore a test of its determinism, and `journal verify` is a start
without the engine.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from engine.exchange import RULES_VERSION, Exchange
from engine.runtime.codec import Record, encode_events
from engine.state import ExchangeState
from engine.units import Seq


class ReplayDiffersError(Exception):
    """The exchange now decides otherwise than when the record was written."""


@dataclass(slots=True)
class Replay:
    """How far a replay has come: the last record applied and its time."""

    last_seq: Seq = Seq(0)
    last_ns: int = 0


def replay(exchange: Exchange, records: Iterable[Record]) -> Replay:
    """Apply the records to the exchange, which must stand where they begin.

    Raises ReplayDiffersError at the first record whose events differ, or that was written under
    other rules.
    """
    done = Replay()
    for record in records:
        if record.rules_version != RULES_VERSION:
            raise ReplayDiffersError(
                f"record {record.seq} was written under rules version {record.rules_version}, "
                f"this engine has {RULES_VERSION}"
            )
        events = exchange.apply(record.seq, record.now_ns, record.command())
        if encode_events(events) != record.events_bytes:
            raise ReplayDiffersError(
                f"record {record.seq} gives other events than it did: {events}, not "
                f"{record.events()}"
            )
        done.last_seq, done.last_ns = record.seq, record.now_ns
    return done


def hash_state(state: ExchangeState) -> str:
    """Return a fingerprint of the state: equal for equal states, on every machine."""
    return hashlib.sha256(msgspec.msgpack.encode(state)).hexdigest()
