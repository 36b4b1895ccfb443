"""One source makes the dictionaries that QuickFIX reads, and they say what the standard says."""

from xml.etree import ElementTree

import pytest

from fix_gateway.fix.dictionary import build_xml, dictionary_path, load_dictionary
from fix_gateway.fix.fields import ExecType, MsgType, Tag

VERSIONS = ["4.4"]


NOT_OF_THE_STANDARD = (
    Tag.DISPLAY_QTY,
    Tag.CANCEL_ORDERS_ON_DISCONNECT,
    Tag.CANCEL_ORDERS_ON_INTERNAL_DISCONNECT,
)


@pytest.mark.parametrize("version", VERSIONS)
def test_file_is_what_the_source_makes(version: str) -> None:
    """After a change of the source: `python -m fix_gateway.fix.dictionary`."""
    assert dictionary_path(version).read_text() == build_xml(version)


def test_our_tags_have_the_names_of_the_standard() -> None:
    """CL_ORD_ID is ClOrdID."""
    names = load_dictionary().field_names()
    for tag in Tag:
        # One came after FIX 4.4, clients send it and we refuse it; two are no standard's.
        if tag not in NOT_OF_THE_STANDARD:
            assert names[tag].lower() == tag.name.replace("_", "").lower()


def test_our_values_are_those_of_the_standard() -> None:
    """Message and execution types exist under the names that we use."""
    dictionary = load_dictionary()
    for msg_type in MsgType:
        name = dictionary.message_names[msg_type]
        assert name.lower() == msg_type.name.replace("_", "").lower()
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


@pytest.mark.parametrize("version", VERSIONS)
def test_every_message_type_of_the_standard_is_declared(version: str) -> None:
    """Types that we do not speak must reach our own answer, BusinessMessageReject 380=3."""
    root = ElementTree.fromstring(build_xml(version))
    declared = [element.get("msgtype") for element in root.findall("messages/message")]
    assert len(declared) == len(set(declared))
    single = set("0123456789ABCDEFGHJKLMNPQRSTVWXYZabcdefghijklmopqrstuvwxyz")
    double = {f"A{letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
    double |= {f"B{letter}" for letter in "ABCDEFGH"}
    assert set(declared) == single | double
