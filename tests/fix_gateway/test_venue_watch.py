"""Subscriptions to news of the venue."""

import pytest

from engine.trading_state import TradingState
from engine.units import SessionId
from fix_gateway.fix.dialect import find_dialect
from fix_gateway.fix.dictionary import BEGIN_STRINGS
from fix_gateway.fix.fields import SOH, Fields, parse_message
from fix_gateway.fix.venue_answers import TradingStates, VenueAnswers
from fix_gateway.fix.venue_watch import SUBSCRIPTIONS_MAX, VenueWatch, Watches
from tests.exchange_desk import BTC_USD, Desk

SESSION = SessionId(1)
SUBSCRIBED = "35=h|335=s|336=BTC-USD|340=2|58=CONTINUOUS"


class Client:
    """A session that subscribes, and what it is told."""

    def __init__(self, begin_string: str = "FIX.4.4") -> None:
        self.reference = Desk().exchange.reference
        self.states: TradingStates = {}
        self.watches: Watches = {}
        self.told: list[str] = []
        answers = VenueAnswers(self.reference, self.states, find_dialect(begin_string))
        self.watch = VenueWatch(SESSION, self.watches, answers, self._take)

    def ask(self, text: str) -> list[str]:
        fields: Fields = parse_message(f"34=7|{text}|".replace("|", SOH))
        answers = self.watch.answer(fields)
        assert answers is not None
        return [_pretty(answer) for answer in answers]

    def halt(self) -> list[str]:
        """Let an instrument be halted; return what the client is told."""
        self.states[BTC_USD] = TradingState.HALTED
        return self._tell(is_new=False)

    def introduce(self) -> list[str]:
        """Let an instrument be new; return what the client is told."""
        return self._tell(is_new=True)

    def _tell(self, *, is_new: bool) -> list[str]:
        self.told.clear()
        for watch in self.watches.values():
            watch.tell(self.reference.instruments[BTC_USD], is_new=is_new)
        return [_pretty(body) for body in self.told]

    def _take(self, body: str) -> None:
        self.told.append(body)


def _pretty(body: str) -> str:
    return body.replace(SOH, "|").removesuffix("|")


@pytest.mark.parametrize("begin_string", list(BEGIN_STRINGS))
def test_subscriber_is_told_of_every_change_until_it_ends_it(begin_string: str) -> None:
    """First how things are; to the end nothing is said, and another end is refused."""
    client = Client(begin_string)
    assert client.ask("35=g|335=s|336=BTC-USD|263=1") == [SUBSCRIBED]
    assert client.halt() == ["35=h|335=s|336=BTC-USD|340=1|58=HALTED"]
    assert client.ask("35=g|335=s|263=2") == []
    assert client.halt() == []
    (refused,) = client.ask("35=g|335=s|263=2")
    assert refused.endswith("|58=UNSUPPORTED: there is no such subscription")
    assert client.watches == {}


def test_only_what_was_subscribed_to_is_told() -> None:
    """A snapshot is no subscription; another instrument's state is nobody's who has not asked."""
    client = Client()
    assert client.ask("35=g|335=s|336=BTC-USD|263=0") == [SUBSCRIBED]
    assert client.halt() == []
    client.states.clear()
    client.ask("35=g|335=other|336=ETH-USD|263=1")
    assert client.halt() == []
    assert len(client.ask("35=g|335=all|263=1")) == len(client.reference.instruments)
    assert client.halt() == ["35=h|335=all|336=BTC-USD|340=1|58=HALTED"]


def test_new_instruments_are_told_to_who_has_the_list() -> None:
    """With its rules, under the name of the subscription; a state is none of its business."""
    client = Client()
    assert len(client.ask("35=x|320=l|559=4|263=1")) == 1
    (update,) = client.introduce()
    assert update.startswith("35=y|320=l|322=l|560=0|393=1|893=Y|146=1|55=BTC-USD|870=1|")
    assert client.halt() == []
    assert client.ask("35=x|320=l|559=4|263=2") == []
    assert client.introduce() == []


def test_subscription_that_cannot_be_is_refused() -> None:
    """Of what is not there, of a name that is taken, and one too many."""
    client = Client()
    (refused,) = client.ask("35=g|335=s|336=X-Y|263=1")
    assert refused.endswith("|58=SYMBOL_UNKNOWN: no such instrument")
    assert client.ask("35=x|320=l|559=0|55=X-Y|263=1") == ["35=y|320=l|322=l|560=2|393=0|893=Y"]
    assert client.watches == {}
    assert client.ask("35=g|335=s|336=BTC-USD|263=1") == [SUBSCRIBED]
    (refused,) = client.ask("35=g|335=s|336=BTC-USD|263=1")
    assert refused.endswith("|58=UNSUPPORTED: there is a subscription of this name")
    for number in range(1, SUBSCRIPTIONS_MAX):
        client.ask(f"35=g|335=s{number}|336=BTC-USD|263=1")
    (refused,) = client.ask("35=g|335=more|336=BTC-USD|263=1")
    assert refused.endswith(f"|58=UNSUPPORTED: there can be {SUBSCRIPTIONS_MAX} subscriptions")
    assert len(client.halt()) == SUBSCRIPTIONS_MAX
    client.watch.end()
    assert client.halt() == []
