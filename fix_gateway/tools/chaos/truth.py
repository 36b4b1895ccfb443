"""What one client sent and was told, as it happened: the client's side of the reconciliation."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from fix_gateway.fix.fields import Fields, MsgType, Tag, parse_message
from fix_gateway.tools.chaos.proxy import WireConnection

SENT: Final = ">"
YES: Final = "Y"
DOOR: Final = "D"
"""The first character of the ExecID(17) of a report that refuses an order at the door."""


@dataclass
class TruthLog:
    """Every message of one client. `note` is an `Initiator`'s `on_message`.

    `is_reset` says whether it sends 141=Y at every Logon: what it sent into a connection that
    broke is then forgotten by both sides. `wire` is what a proxy saw, [] without one.
    """

    comp_id: str
    is_reset: bool
    wire: list[WireConnection] = field(default_factory=list)
    messages: list[tuple[str, str]] = field(default_factory=list)

    def note(self, direction: str, text: str) -> None:
        """Take in a message. Called on QuickFIX's threads, where nothing may be raised."""
        self.messages.append((direction, text))

    def received(self, *msg_types: str) -> list[Fields]:
        """Return the messages of these types that the client was given, in order."""
        return self._parsed(is_sent=False, msg_types=msg_types)

    def sent(self, msg_type: str) -> dict[str, Fields]:
        """Return what the client sent of this type by ClOrdID(11), as it was sent first."""
        found: dict[str, Fields] = {}
        for fields in self._parsed(is_sent=True, msg_types=(msg_type,)):
            found.setdefault(fields[Tag.CL_ORD_ID], fields)
        return found

    def reports(self) -> list[Fields]:
        """Return the reports of what the engine decided, repeats too, in order."""
        return [
            fields
            for fields in self.received(MsgType.EXECUTION_REPORT)
            if not fields[Tag.EXEC_ID].startswith(DOOR)
        ]

    def refused_at_the_door(self) -> set[str]:
        """Return the ClOrdIDs of orders and cancels that were told to be not executed."""
        refused = {
            fields[Tag.CL_ORD_ID]
            for fields in self.received(MsgType.EXECUTION_REPORT)
            if fields[Tag.EXEC_ID].startswith(DOOR)
        }
        for fields in self.received(MsgType.BUSINESS_MESSAGE_REJECT):
            refused.add(fields.get(Tag.BUSINESS_REJECT_REF_ID, ""))
        return refused

    def answered(self) -> set[str]:
        """Return the ClOrdIDs of orders and cancels that got any answer at all."""
        answers = self.received(MsgType.EXECUTION_REPORT, MsgType.ORDER_CANCEL_REJECT)
        return {fields[Tag.CL_ORD_ID] for fields in answers} | self.refused_at_the_door()

    def connections(self) -> Iterable[tuple[bool, list[Fields]]]:
        """Yield for each connection whether it reset the numbers, and what left the gateway."""
        for connection in self.wire:
            logon = _parse(connection.to_gateway[0]) if connection.to_gateway else {}
            is_reset = logon.get(Tag.RESET_SEQ_NUM_FLAG) == YES
            yield is_reset, [_parse(raw) for raw in connection.to_client]

    def _parsed(self, *, is_sent: bool, msg_types: tuple[str, ...]) -> list[Fields]:
        found = []
        for direction, text in self.messages:
            if (direction == SENT) == is_sent:
                fields = parse_message(text)
                if fields[Tag.MSG_TYPE] in msg_types:
                    found.append(fields)
        return found


def is_repeat(fields: Fields) -> bool:
    """Whether a message is marked as one that may have been sent before."""
    return YES in (fields.get(Tag.POSS_DUP_FLAG), fields.get(Tag.POSS_RESEND))


def _parse(raw: bytes) -> Fields:
    return parse_message(raw.decode("latin-1"))
