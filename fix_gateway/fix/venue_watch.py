"""Subscriptions to news of the venue: instruments that are introduced, and who trades when.

They end with the client's connection. Updates are no reports, so none is kept for later: a client
that comes back asks again, and is told how things are by then.
"""

from collections.abc import Callable, MutableMapping
from typing import Final

from engine.instrument import Instrument
from engine.units import SessionId
from fix_gateway.fix.fields import Fields, MsgType, Tag
from fix_gateway.fix.venue_answers import REQUEST_IDS, VenueAnswers, symbol_of

SUBSCRIPTIONS_MAX: Final = 100
SUBSCRIBE, UNSUBSCRIBE = "1", "2"  # SubscriptionRequestType(263).

Watches = MutableMapping[SessionId, "VenueWatch"]
"""The sessions of a process that have subscribed to anything."""


class VenueWatch:
    """What one session has subscribed to. Belongs to the gateway's one thread.

    It enters itself in `watches` for as long as there is anything. `send` sends a message, given as
    fields from 35= on.
    """

    def __init__(
        self,
        session_id: SessionId,
        watches: Watches,
        answers: VenueAnswers,
        send: Callable[[str], None],
    ) -> None:
        self._session_id = session_id
        self._watches = watches
        self._answers = answers
        self._send = send
        # The instrument that is meant, None for all, by message type and the client's own name.
        self._symbols: dict[tuple[str, str], str | None] = {}

    def speak(self, answers: VenueAnswers) -> None:
        """Let the answers that follow be built by another builder."""
        self._answers = answers

    def answer(self, fields: Fields) -> list[str] | None:
        """Return what answers a question about the venue, None when the message is none.

        To an end that is put to a subscription nothing is said.
        """
        msg_type = fields[Tag.MSG_TYPE]
        if msg_type not in REQUEST_IDS:
            return None
        wish = fields.get(Tag.SUBSCRIPTION_REQUEST_TYPE)
        key = (msg_type, fields[REQUEST_IDS[msg_type]])
        if wish == UNSUBSCRIBE:
            if key not in self._symbols:
                return [self._answers.refuse(fields, "there is no such subscription")]
            del self._symbols[key]
            self._settle()
            return []
        if wish == SUBSCRIBE and key in self._symbols:
            return [self._answers.refuse(fields, "there is a subscription of this name")]
        if wish == SUBSCRIBE and len(self._symbols) >= SUBSCRIPTIONS_MAX:
            words = f"there can be {SUBSCRIPTIONS_MAX} subscriptions"
            return [self._answers.refuse(fields, words)]
        answer = self._answers.answer(fields)
        if wish == SUBSCRIBE and not answer.is_refused:
            self._symbols[key] = symbol_of(fields)
            self._settle()
        return answer.bodies

    def tell(self, instrument: Instrument, *, is_new: bool) -> None:
        """Say that an instrument has been introduced, or trades in another state from now on."""
        for (msg_type, request_id), symbol in self._symbols.items():
            if symbol not in (None, instrument.symbol):
                continue
            if msg_type == MsgType.TRADING_SESSION_STATUS_REQUEST:
                self._send(self._answers.trading_session(request_id, instrument))
            elif is_new:
                self._send(self._answers.security_list(request_id, [instrument]))

    def end(self) -> None:
        """The client is gone."""
        self._symbols.clear()
        self._settle()

    def _settle(self) -> None:
        if self._symbols:
            self._watches[self._session_id] = self
        else:
            self._watches.pop(self._session_id, None)
