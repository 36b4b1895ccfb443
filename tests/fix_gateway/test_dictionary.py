"""One source makes the dictionaries that QuickFIX reads, and they say what the standard says.

The standard is known from another engine's dictionaries (`fixcore`), which nobody of us has made.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from fix_gateway.fix.dictionary import (
    APPLICATION_VERSIONS,
    VERSIONS,
    Version,
    dictionary_path,
    load_dictionary,
    load_version,
)
from fix_gateway.fix.dictionary_xml import build_xml
from fix_gateway.fix.fields import ExecType, MsgType, Tag
from fix_gateway.fix.framing import DATA_TAGS

_fixcore = find_spec("fixcore")
assert _fixcore is not None
assert _fixcore.origin is not None
OTHERS = Path(_fixcore.origin).parent / "specs"
OTHERS_FILES = {"4.2": ["FIX42"], "4.4": ["FIX44"], "5.0sp2": ["FIX50SP2", "FIXT11"]}
# In these the other dictionary has fewer of the fields of a leg than an ExecutionReport has.
LEGS_ARE_SHARED = {"B", "V", "x", "AN"}
LOGON_OF_LATER_VERSIONS = {Tag.USERNAME, Tag.PASSWORD, Tag.NEW_PASSWORD}
LINES_OF_TEXT = 33
# "Surveillance option" stands in volume 6 of FIX 4.4, and not in the other dictionary.
FORGOTTEN: dict[int, set[str | None]] = {Tag.ORD_REJ_REASON: {"12"}}


def names_in(namespace: type) -> list[tuple[str, Any]]:
    """Return the names of a class that is nothing but names, and what they stand for."""
    return [(name, value) for name, value in vars(namespace).items() if name.isupper()]


@pytest.mark.parametrize("version", VERSIONS)
def test_file_is_what_the_source_makes(version: str) -> None:
    """After a change of the source: `python -m fix_gateway.fix.dictionary_xml`."""
    assert dictionary_path(version).read_text() == build_xml(version)


def test_our_tags_have_the_names_of_the_standard() -> None:
    """CL_ORD_ID is ClOrdID."""
    names = load_dictionary().field_names()
    for name, tag in names_in(Tag):
        assert names[tag].lower() == name.replace("_", "").lower()


def test_our_values_are_those_of_the_standard() -> None:
    """Message and execution types exist under the names that we use."""
    dictionary = load_dictionary()
    for name, msg_type in names_in(MsgType):
        message_name = dictionary.message_names[msg_type]
        assert message_name.lower() == name.replace("_", "").lower()
    exec_types = dictionary.value_names()[Tag.EXEC_TYPE]
    assert {exec_type.value: exec_type.name for exec_type in ExecType}.items() <= exec_types.items()


@pytest.mark.parametrize("version", VERSIONS)
def test_every_field_is_defined_once_and_used(version: str) -> None:
    """No tag twice, no field that no message has."""
    root = ElementTree.fromstring(build_xml(version))
    defined = [element.get("number") for element in root.findall("fields/field")]
    assert len(defined) == len(set(defined))
    used = {
        element.get("name")
        for part in ("header", "trailer", "messages", "components")
        for element in root.find(part).iter()  # type: ignore[union-attr]  # It is there.
        if element.tag in ("field", "group")
    }
    assert used == {element.get("name") for element in root.findall("fields/field")}


def test_every_field_of_the_source_is_used() -> None:
    """A field that no version's message has is a slip of the pen."""
    used: set[int] = set()
    for version in map(load_version, APPLICATION_VERSIONS):
        used |= version.header_tags()
        used = used.union(*(version.tags(msg_type) for msg_type in version.messages))
    own = {field.tag for field in load_version("4.4").own_fields.values()}
    assert {field.tag for field in load_dictionary().fields.values()} == used | own


def test_data_fields_are_known_to_the_framing() -> None:
    """Whoever does not know that a field may hold SOH would read what is in it as fields."""
    fields = load_dictionary().fields.values()
    kinds = {field.tag: field.kind for field in fields}
    data = {tag for tag, kind in kinds.items() if kind in ("DATA", "XMLDATA")}
    assert data <= set(DATA_TAGS.values())
    assert all(kinds.get(length, "LENGTH") == "LENGTH" for length in DATA_TAGS)


class Standard:
    """A version as the other engine's dictionaries have it."""

    def __init__(self, version: str) -> None:
        self.tags: dict[str, set[int]] = {}
        self.required: dict[str, set[int]] = {}
        self.names: dict[int, str] = {}
        self.values: dict[int, set[str | None]] = {}
        for file in OTHERS_FILES[version]:
            self._read(ElementTree.parse(OTHERS / f"{file}.xml").getroot())

    def _read(self, root: ElementTree.Element) -> None:
        self._numbers = {
            field.get("name"): int(field.get("number") or 0)
            for field in root.findall("fields/field")
        }
        self._components = {each.get("name"): each for each in root.findall("components/component")}
        for field in root.findall("fields/field"):
            tag = int(field.get("number") or 0)
            self.names[tag] = field.get("name") or ""
            self.values[tag] = {value.get("enum") for value in field.findall("value")}
        for message in root.findall("messages/message"):
            msg_type = message.get("msgtype") or ""
            if len(message) or msg_type not in self.tags:
                found = list(self._walk(message, is_required=True))
                self.tags[msg_type] = {tag for tag, _ in found}
                self.required[msg_type] = {tag for tag, is_required in found if is_required}

    def _walk(
        self, parent: ElementTree.Element, *, is_required: bool
    ) -> Iterator[tuple[int, bool]]:
        for element in parent:
            here = is_required and element.get("required") == "Y"
            if element.tag == "component":
                yield from self._walk(self._components[element.get("name")], is_required=here)
                continue
            if element.get("name") in self._numbers:
                yield self._numbers[element.get("name")], here
            yield from self._walk(element, is_required=False)


@pytest.fixture(scope="module", params=APPLICATION_VERSIONS)
def both(request: pytest.FixtureRequest) -> tuple[Version, Standard]:
    """A version as we and as others have it."""
    return load_version(request.param), Standard(request.param)


def test_messages_have_all_fields_of_the_standard(both: tuple[Version, Standard]) -> None:
    """Message types are left out, never fields: what a client may legally send is accepted.

    Of what we send there stands what we send. Of FIX 5.0 SP2 the other dictionary has all that was
    added later for derivatives.
    """
    ours, standard = both
    for msg_type in ours.messages.keys() & standard.tags.keys():
        extra = ours.tags(msg_type) - standard.tags[msg_type]
        if msg_type == MsgType.LOGON:
            extra -= LOGON_OF_LATER_VERSIONS if ours.key == "4.2" else ours.tags(msg_type)
        if msg_type == MsgType.EXECUTION_REPORT:
            extra -= SENT_ON_WISH
        if msg_type in REFUSALS:
            extra -= {Tag.ERROR_CODE}
        if msg_type not in LEGS_ARE_SHARED:
            assert extra == set(), msg_type
        missing = standard.tags[msg_type] - ours.tags(msg_type)
        message = ours.messages[msg_type]
        is_old = ours.key != "5.0sp2" and msg_type not in SENT_IN_PART
        if is_old or message.category == "admin":
            assert missing == set(), msg_type


def test_names_and_values_are_those_of_the_standard(both: tuple[Version, Standard]) -> None:
    """A value that a version does not have would be refused by its clients."""
    ours, standard = both
    used = ours.header_tags().union(*(ours.tags(msg_type) for msg_type in ours.messages))
    for field in ours.fields.values():
        if field.tag not in used - LOGON_OF_LATER_VERSIONS or field.tag == LINES_OF_TEXT:
            continue
        assert field.name == standard.names[field.tag]
        if standard.values[field.tag] and field.tag in SENT_VALUES:
            known = standard.values[field.tag] | FORGOTTEN.get(field.tag, set())
            assert set(field.values) <= known, field.name


OUR_OWN = {"F3", "F4", "F5"}
# Of these there stands only what we send of them.
# Settings of the session.
SENT_ON_WISH = {Tag.GATEWAY_TIME, Tag.ENGINE_TIME}
REFUSALS = {
    MsgType.EXECUTION_REPORT, MsgType.ORDER_CANCEL_REJECT, MsgType.BUSINESS_MESSAGE_REJECT,
}  # fmt: skip
SENT_IN_PART = {"W", "X", "Y", "h", "r", "y", "AP"}
SENT_VALUES = {
    Tag.EXEC_TRANS_TYPE, Tag.ORD_STATUS, Tag.ORD_TYPE, Tag.SIDE, Tag.TIME_IN_FORCE,
    Tag.CXL_REJ_REASON, Tag.ORD_REJ_REASON, Tag.EXEC_TYPE, Tag.SESSION_REJECT_REASON,
    Tag.EXEC_RESTATEMENT_REASON, Tag.BUSINESS_REJECT_REASON, Tag.CXL_REJ_RESPONSE_TO,
    Tag.LAST_LIQUIDITY_IND, Tag.USER_STATUS, Tag.MD_UPDATE_ACTION, Tag.MD_REQ_REJ_REASON,
}  # fmt: skip


def test_what_we_send_has_what_the_standard_requires(both: tuple[Version, Standard]) -> None:
    """Of what we take, less may be asked for than the standard does; never of what we send."""
    ours, standard = both
    for msg_type, message in ours.messages.items():
        if msg_type not in standard.tags:
            assert msg_type in OUR_OWN
        elif message.direction == "out":
            assert standard.required[msg_type] <= ours.required_tags(msg_type)
        else:
            # Volume 1 of FIX 4.4 requires the Symbol(55) of every Instrument.
            required = ours.required_tags(msg_type) - {Tag.SYMBOL}
            assert required <= standard.required[msg_type]


def test_every_message_type_of_the_standard_is_declared(both: tuple[Version, Standard]) -> None:
    """Types that we do not speak must reach our own answer, BusinessMessageReject 380=3."""
    ours, standard = both
    assert len(ours.unspoken) == len(set(ours.unspoken))
    missing = set(standard.tags) - {*ours.messages, *ours.unspoken}
    # Of FIXT.1.1, and what extension packs have added to 5.0 SP2.
    assert {msg_type for msg_type in missing if msg_type < "CA" or len(msg_type) == 1} <= {"n"}
