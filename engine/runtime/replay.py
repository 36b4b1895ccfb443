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


class OtherRulesError(ReplayDiffersError):
    """A record was written by an engine of other rules: only that one can replay it."""

    def __init__(self, record: Record) -> None:
        if record.rules_version < RULES_VERSION:
            advice = (
                "no snapshot covers it: with the engine stopped, run `wcx upgrade` of the version "
                "that wrote it, then start this one"
            )
        else:
            advice = "a later version wrote it: start that one"
        self.record = record
        super().__init__(
            f"record {record.seq} was written under rules version {record.rules_version}, "
            f"this engine has {RULES_VERSION}; {advice}"
        )


@dataclass(slots=True)
class Replay:
    """How far a replay has come: the last record applied, its time, how many were applied."""

    last_seq: Seq = Seq(0)
    last_ns: int = 0
    record_count: int = 0


def replay(exchange: Exchange, records: Iterable[Record], after: Replay | None = None) -> Replay:
    """Apply the records to the exchange, which must stand where they begin, and go on from `after`.

    Raises ReplayDiffersError at the first record whose events differ, OtherRulesError at one that
    was written under other rules.
    """
    done = after or Replay()
    for record in records:
        if record.rules_version != RULES_VERSION:
            raise OtherRulesError(record)
        events = exchange.apply(record.seq, record.now_ns, record.command())
        # Other bytes may be the same events, written before one of them got a new field.
        if encode_events(events) != record.events_bytes and events != record.events():
            raise ReplayDiffersError(
                f"record {record.seq} gives other events than it did: {events}, not "
                f"{record.events()}"
            )
        done.last_seq, done.last_ns = record.seq, record.now_ns
        done.record_count += 1
    return done


def hash_state(state: ExchangeState) -> str:
    """Return a fingerprint of the state: equal for equal states, on every machine."""
    return hashlib.sha256(msgspec.msgpack.encode(state)).hexdigest()
