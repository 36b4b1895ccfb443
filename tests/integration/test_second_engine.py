"""Another FIX engine as client, with the standard's own dictionaries: `fixcore`, pure Python.

It knows nothing of ours; what it is sent it validates, values included, and would reject.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fixcore import Application, SessionID
from fixcore.message.message import Message
from fixcore.session.session_settings import SessionSettings
from fixcore.store.factory import MemoryStoreFactory
from fixcore.transport.initiator import SocketInitiator

from fix_gateway.tools.chaos.venue import PASSWORD
from tests.integration.venue_process import VenueProcess

WAIT_S = 30.0
DICTIONARIES = {
    "FIX.4.2": "DataDictionary=FIX42.xml",
    "FIX.4.4": "DataDictionary=FIX44.xml",
    "FIXT.1.1": "AppDataDictionary=FIX50SP2.xml\nDefaultApplVerID=FIX.5.0SP2",
}
SESSIONS = {"FIX.4.2": "U02", "FIX.4.4": "T11", "FIXT.1.1": "V02"}
_names = (f"fc{count}-{time.time_ns() // 1000}" for count in itertools.count())


class Client(Application):  # type: ignore[misc]  # It has no types.
    """One session of the other engine."""

    def __init__(self, port: int, begin_string: str) -> None:
        self.begin_string = begin_string
        self.came: asyncio.Queue[Message] = asyncio.Queue()
        self.admin: list[Message] = []
        self.logged_on = asyncio.Event()
        self._name = SESSIONS[begin_string]
        self._port = port
        self._initiator: SocketInitiator

    def on_logon(self, session_id: SessionID) -> None:
        self.logged_on.set()

    def to_admin(self, message: Message, session_id: SessionID) -> None:
        if message.msg_type == "A":
            message.set_field(553, self._name)
            message.set_field(554, PASSWORD)

    def from_admin(self, message: Message, session_id: SessionID) -> None:
        self.admin.append(message)

    def from_app(self, message: Message, session_id: SessionID) -> None:
        self.came.put_nowait(message)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[None]:
        """Be logged on."""
        settings = SessionSettings.from_string(
            "[DEFAULT]\nConnectionType=initiator\nHeartBtInt=30\nResetOnLogon=Y\n"
            f"SocketConnectHost=127.0.0.1\nSocketConnectPort={self._port}\n"
            "UseDataDictionary=Y\nValidateFieldsOutOfRange=Y\nReconnectInterval=1\n"
            f"[SESSION]\nBeginString={self.begin_string}\nSenderCompID={self._name}\n"
            f"TargetCompID=WCX\n{DICTIONARIES[self.begin_string]}\n"
        )
        self.logged_on.clear()
        self._initiator = SocketInitiator(settings, self, MemoryStoreFactory())
        await self._initiator.start()
        try:
            await asyncio.wait_for(self.logged_on.wait(), WAIT_S)
            yield
        finally:
            await self._initiator.logout()
            await self._initiator.stop()

    async def send(self, text: str) -> None:
        """Send a message, given as `35=D|11=...`."""
        message = Message()
        (_, msg_type), *fields = (part.split("=", 1) for part in text.split("|"))
        message.header.set(35, msg_type)
        for tag, value in fields:
            message.set_field(int(tag), value)
        now = time.strftime("%Y%m%d-%H:%M:%S", time.gmtime())
        message.set_field(60, f"{now}.000")
        (session,) = self._initiator.sessions.values()
        await session.send_app(message)

    async def enter(self, side: str, qty: str, price: str) -> str:
        """Enter a GTC order and return its ClOrdID once it is entered."""
        name = next(_names)
        await self.send(f"35=D|11={name}|21=1|55=BTC-USD|54={side}|38={qty}|40=2|44={price}|59=1")
        entered = await self.next_message()
        assert (entered[150], entered[39], entered[11]) == ("0", "0", name)
        return name

    async def next_message(self) -> Message:
        """Return the next application message."""
        return await asyncio.wait_for(self.came.get(), WAIT_S)


async def trade(client: Client, other: Client) -> None:
    """Enter, amend, fill in part, cancel; be refused; fill while away."""
    is_4_2 = client.begin_string == "FIX.4.2"
    async with other.session():
        async with client.session():
            bid = await client.enter("1", "0.5", "62000")
            amended = next(_names)
            await client.send(
                f"35=G|11={amended}|41={bid}|21=1|55=BTC-USD|54=1|38=0.4|40=2|44=62001"
            )
            replaced = await client.next_message()
            assert (replaced[150], replaced[11], replaced[41]) == ("5", amended, bid)
            await other.send(
                f"35=D|11={next(_names)}|21=1|55=BTC-USD|54=2|38=0.1|40=2|44=62001|59=3"
            )
            fill = await client.next_message()
            assert (fill[150], fill[39]) == ("1" if is_4_2 else "F", "1")
            assert (fill[32], fill[31], fill[151]) == ("0.1000", "62001.00", "0.3000")
            await client.send(f"35=D|11={next(_names)}|21=1|55=BTC-USD|54=1|38=1|40=2|44=0.001")
            refused = await client.next_message()
            assert (refused[150], refused[39]) == ("8", "8")
            assert refused[58].startswith("TICK_SIZE: ")
            await client.send(f"35=F|11={next(_names)}|41={bid}x|55=BTC-USD|54=1")
            unknown = await client.next_message()
            assert (unknown.msg_type, unknown[102], unknown[434]) == ("9", "1", "1")
        await other.send(f"35=D|11={next(_names)}|21=1|55=BTC-USD|54=2|38=0.1|40=2|44=62001|59=3")
        while (await other.next_message())[39] != "2":
            pass
        async with client.session():
            missed = await client.next_message()
            assert (missed[39], missed[14], missed[11]) == ("1", "0.2000", amended)
            await client.send(f"35=F|11={next(_names)}|41={amended}|55=BTC-USD|54=1")
            canceled = await client.next_message()
            assert (canceled[150], canceled[39], canceled[14]) == ("4", "4", "0.2000")
            assert client.came.empty()
    assert [message for message in client.admin if message.msg_type == "3"] == []


async def ask(client: Client) -> None:
    """Mass status, mass cancel with its group of orders, balances and instruments."""
    async with client.session():
        names = [await client.enter("1", "0.1", price) for price in ("12", "13")]
        await client.send("35=AF|584=q1|585=7")
        told = [await client.next_message() for _ in names]
        assert [(each[11], each[911], each[912]) for each in told] == [
            (names[0], "2", "N"), (names[1], "2", "Y"),
        ]  # fmt: skip
        cancel = next(_names)
        await client.send(f"35=q|11={cancel}|530=7")
        report = await client.next_message()
        name_tag = 1824 if client.begin_string == "FIXT.1.1" else 41
        assert (report.msg_type, report[531], report[533]) == ("r", "7", "2")
        assert [each.get_field(name_tag) for each in report.get_groups(534)] == names
        for name in names:
            canceled = await client.next_message()
            assert (canceled[150], canceled[11], canceled[41]) == ("4", cancel, name)
        if client.begin_string == "FIXT.1.1":
            assert (await client.next_message()).msg_type == "BZ"
        await client.send(
            "35=AN|710=p1|724=0|263=0|1=" + SESSIONS[client.begin_string] + "|581=1|715=20261128"
        )
        first = await client.next_message()
        rest = [await client.next_message() for _ in range(int(first[727]) - 1)]
        found = {each[15]: each.get_groups(702)[0].get_field(704) for each in [first, *rest]}
        assert {
            asset: len(text.partition(".")[2]) for asset, text in found.items()
        } == dict.fromkeys(("USD", "BTC", "ETH", "SOL"), 8)
        await client.send("35=x|320=l1|559=4")
        listed = await client.next_message()
        assert {each.get_field(55) for each in listed.get_groups(146)} >= {"BTC-USD", "ETH-USD"}
    assert [message for message in client.admin if message.msg_type == "3"] == []


@pytest.mark.parametrize("begin_string", list(SESSIONS))
def test_other_engine_trades(shared_venue: VenueProcess, begin_string: str) -> None:
    """In every version, against a counterparty that speaks FIX 4.4 or 4.2."""

    async def scenario() -> None:
        other = "FIX.4.2" if begin_string == "FIX.4.4" else "FIX.4.4"
        port = shared_venue.fix_port
        await trade(Client(port, begin_string), Client(port, other))

    asyncio.run(scenario())


@pytest.mark.parametrize("begin_string", ["FIX.4.4", "FIXT.1.1"])
def test_other_engine_asks(shared_venue: VenueProcess, begin_string: str) -> None:
    """Groups and all, in the versions that have such messages."""
    asyncio.run(ask(Client(shared_venue.fix_port, begin_string)))
