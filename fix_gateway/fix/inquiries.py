"""What a client asks for beside its orders: reports again, market data, news of the venue."""

from collections.abc import Callable
from typing import Protocol

from fix_gateway.fix.dialect import Dialect
from fix_gateway.fix.event_resend import Listener
from fix_gateway.fix.intake import IntakeReplies
from fix_gateway.fix.listening import Listening
from fix_gateway.fix.market_data_desk import Subscriber
from fix_gateway.fix.session_tools import SessionTools
from store.sessions import FixSessionRow


class Asker(Listener, Subscriber, Protocol):
    """The session whose client asks."""


class Inquiries:
    """Who answers a session's client. Belongs to the gateway's one thread.

    All that is under way, and every subscription, ends with the connection.
    """

    def __init__(
        self, row: FixSessionRow, tools: SessionTools, asker: Asker, listening: Listening
    ) -> None:
        self._tools = tools
        self._event_resender = tools.make_event_resender(row, asker, listening)
        self._market_data = tools.make_market_data_door(row, asker)
        self._watch = tools.make_venue_watch(row, asker.send)

    def make_replies(
        self, reply: Callable[[int, list[str]], None], log_out: Callable[[str], None]
    ) -> IntakeReplies:
        """Return what the session's intake does to its client."""
        return IntakeReplies(
            reply=reply,
            resend_events=self._event_resender.start,
            tell_market=self._market_data.take_request,
            ask_venue=self._watch.answer,
            log_out=log_out,
        )

    def speak(self, dialect: Dialect) -> None:
        """Let the answers that follow be given so."""
        self._event_resender.speak(self._tools.make_builder(dialect))
        self._market_data.speak(dialect)
        self._watch.speak(self._tools.make_venue_answers(dialect))

    def start_over(self) -> None:
        """The client does not have all that it was told of the market: tell it how things are."""
        self._market_data.start_over()

    def end(self) -> None:
        """The client is gone."""
        self._event_resender.cancel()
        self._market_data.close()
        self._watch.end()
