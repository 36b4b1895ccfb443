"""Code, dictionaries and docs/fix-spec.md say the same, and every example is a good message."""

import time

import pytest

from engine.reference import Reference
from engine.runtime.feed import Position
from engine.units import AccountId, FirmId, SessionId
from fix_gateway.fix.dialect import find_dialect
from fix_gateway.fix.dictionary import (
    APPLICATION_VERSIONS,
    BEGIN_STRINGS,
    Version,
    load_version,
)
from fix_gateway.fix.dictionary_doc import DOCUMENT, build_document, example_frame
from fix_gateway.fix.fields import MsgType, Tag, parse_message
from fix_gateway.fix.order_terms import SELF_TRADE_INSTRUCTIONS, SELF_TRADE_TYPES
from fix_gateway.fix.request_parts import SIDES, Refusal, SessionContext
from fix_gateway.fix.request_rules import load_request_rules
from fix_gateway.fix.translate import ORD_TYPES, TIMES_IN_FORCE, Translator
from tests.exchange_desk import Desk
from tests.legal_messages import check_message

VERSIONS = [load_version(version) for version in APPLICATION_VERSIONS]
EXAMPLES = [
    pytest.param(version, msg_type, id=f"{version.key}-{msg_type}")
    for version in VERSIONS
    for msg_type in version.messages
]
every_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.key)


def test_document_is_what_the_source_makes() -> None:
    """After a change of the source: `python -m fix_gateway.fix.dictionary_doc`."""
    assert DOCUMENT.read_text() == build_document()


@pytest.mark.parametrize(("version", "msg_type"), EXAMPLES)
def test_example_is_a_legal_message(version: Version, msg_type: str) -> None:
    """QuickFIX finds no fault with it, and it has every field that its rules call required."""
    message = version.messages[msg_type]
    raw = example_frame(message, version).decode()
    check_message(raw)
    fields = parse_message(raw)
    assert version.required_tags(msg_type) <= fields.keys()
    known = {version.field(rule.name).tag: rule for rule in message.rules}
    for tag in fields.keys() - version.header_tags():
        assert not known[tag].is_refused
        assert not known[tag].values or fields[tag] in known[tag].values
    if message.direction == "out":
        always = {tag for tag, rule in known.items() if not rule.is_conditional}
        assert always - {Tag.TEXT} <= fields.keys()


@every_version
def test_rules_are_about_fields_of_the_version(version: Version) -> None:
    """A field that is not refused is one of the message's, or one that we have added ourselves."""
    for msg_type, message in version.messages.items():
        names = [rule.name for rule in message.rules]
        assert len(names) == len(set(names))
        for rule in message.rules:
            field = version.field(rule.name)
            is_added = field.tag not in version.tags(msg_type)
            assert not is_added or msg_type in (MsgType.LOGON, "D", "F", "G"), rule
            assert not field.values or set(rule.values) <= set(field.values), rule
            if rule.is_refused:
                assert rule.note.startswith(("is not supported", "cannot be amended")), rule
        required = {version.field(name).tag for name in names} & version.required_tags(msg_type)
        assert required == version.required_tags(msg_type), message.name


@every_version
def test_code_knows_every_value_that_the_rules_have(version: Version) -> None:
    """A value that is accepted and not known would be an order of another kind."""
    rules = load_request_rules(version.key, MsgType.NEW_ORDER_SINGLE)
    order = rules.usual | rules.accepted
    assert order[Tag.SIDE] == SIDES.keys()
    assert order[Tag.ORD_TYPE] == ORD_TYPES.keys()
    assert order[Tag.TIME_IN_FORCE] == TIMES_IN_FORCE.keys()
    assert order[Tag.SELF_MATCH_PREVENTION_INSTRUCTION] == SELF_TRADE_INSTRUCTIONS.keys()
    assert order[Tag.SELF_TRADE_TYPE] == SELF_TRADE_TYPES.keys()


@pytest.fixture(scope="module")
def reference() -> Reference:
    """Of a desk with BTC-USD."""
    return Desk().exchange.reference


@pytest.mark.parametrize("begin_string", list(BEGIN_STRINGS))
@pytest.mark.parametrize("msg_type", ["D", "F", "G"])
def test_examples_of_requests_are_taken(
    reference: Reference, begin_string: str, msg_type: str
) -> None:
    """They become commands."""
    version = load_version(BEGIN_STRINGS[begin_string])
    translator = Translator(reference, version.key, resend_order_age_max_ns=5 * 10**9)
    account = next(iter(reference.accounts.values()))
    context = SessionContext(
        SessionId(1), FirmId(account.firm_id), AccountId(account.account_id), 1, 1
    )
    fields = parse_message(example_frame(version.messages[msg_type], version).decode())
    fields[Tag.SYMBOL] = next(iter(reference.instruments_by_symbol))
    outcome = translator.translate(fields, context, time.time_ns())
    assert outcome is not None
    assert not isinstance(outcome, Refusal), outcome


def test_dialects_are_of_the_versions() -> None:
    """Every BeginString has one; the position of an event makes the same ExecID in each."""
    assert [find_dialect(text).version for text in BEGIN_STRINGS] == list(APPLICATION_VERSIONS)
    assert Position(36, 1).exec_id == "36.1"
