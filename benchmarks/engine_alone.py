"""The exchange in memory, and with its journal: how many commands a second."""

import os
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from engine.commands import (
    AdjustBalance,
    CancelOrder,
    Command,
    DefineAsset,
    DefineInstrument,
    NewOrder,
    OpenAccount,
    SetRiskLimits,
)
from engine.exchange import Exchange
from engine.instrument import Account, Asset, InstrumentDefinition
from engine.limits import RiskLimits
from engine.order import OrdType, Side, TimeInForce
from engine.runtime.journal import Durability, Journal, lock_journal
from engine.runtime.sequencer import Sequencer
from engine.units import (
    AccountId,
    AssetId,
    ClOrdId,
    FirmId,
    InstrumentId,
    Money,
    Price,
    Qty,
    Seq,
    SessionId,
)
from risk.pre_trade import PreTradeGate

SEED = 7
USD, BTC = AssetId(1), AssetId(2)
BTC_USD = InstrumentId(1)
ACCOUNTS = (AccountId(1), AccountId(2))
CANCEL_SHARE = 0.25
MID = 6_000_000
BATCH = 100


def set_up_commands() -> list[Command]:
    """Return what makes an exchange with one instrument and two rich accounts."""
    commands: list[Command] = [
        DefineAsset(Asset(USD, "USD", 8)),
        DefineAsset(Asset(BTC, "BTC", 8)),
        DefineInstrument(
            InstrumentDefinition(BTC_USD, "BTC-USD", BTC, USD, 2, 4, Price(1), Qty(1))
        ),
    ]
    for account_id in ACCOUNTS:
        commands += [
            OpenAccount(Account(account_id, FirmId(account_id), f"A{account_id}")),
            SetRiskLimits(RiskLimits(account_id, BTC_USD, Qty(10**9), Money(10**17))),
            AdjustBalance(account_id, USD, Money(10**18), "usd"),
            AdjustBalance(account_id, BTC, Money(10**14), "btc"),
        ]
    return commands


def random_flow(count: int) -> list[Command]:
    """Return limit orders round one price, some of which trade, and cancels of earlier ones."""
    rng = random.Random(SEED)
    commands: list[Command] = []
    for number in range(count):
        account_id = ACCOUNTS[number % 2]
        if rng.random() < CANCEL_SHARE and number:
            commands.append(
                CancelOrder(
                    SessionId(0), 0, 0, 0, account_id, ClOrdId(f"x{number}"),
                    ClOrdId(f"o{rng.randrange(max(0, number - 500), number)}"),
                )
            )  # fmt: skip
            continue
        commands.append(
            NewOrder(
                SessionId(0), 0, 0, 0, account_id, BTC_USD, ClOrdId(f"o{number}"),
                rng.choice((Side.BUY, Side.SELL)), OrdType.LIMIT, TimeInForce.GTC,
                Qty(rng.randint(1, 100)), Price(MID + rng.randint(-100, 100)),
            )
        )  # fmt: skip
    return commands


def measure_memory(commands: Sequence[Command]) -> float:
    """Return commands per second of the exchange with risk, without a journal."""
    exchange = Exchange(PreTradeGate())
    seq = 0
    for command in set_up_commands():
        seq += 1
        exchange.apply(Seq(seq), seq, command)
    started_s = time.perf_counter()
    for command in commands:
        seq += 1
        exchange.apply(Seq(seq), seq, command)
    return len(commands) / (time.perf_counter() - started_s)


def measure_journal(commands: Sequence[Command], durability: Durability) -> float:
    """Return commands per second with a journal, in batches of 100."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        os.close(lock_journal(directory))
        journal = Journal(directory, next_seq=Seq(1), durability=durability)
        sequencer = Sequencer(
            Exchange(PreTradeGate()),
            journal,
            last_seq=Seq(0),
            last_ns=0,
            clock_ns=time.time_ns,
        )
        sequencer.commit(set_up_commands())
        started_s = time.perf_counter()
        for start in range(0, len(commands), BATCH):
            sequencer.commit(commands[start : start + BATCH])
        elapsed_s = time.perf_counter() - started_s
        journal.close()
    return len(commands) / elapsed_s
