"""FIX dictionaries, all made from one source, `dictionaries/messages.toml`."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

DIRECTORY: Final = Path(__file__).with_name("dictionaries")
SOURCE: Final = DIRECTORY / "messages.toml"


@dataclass(frozen=True)
class Field:
    """A field of the standard. `values` maps what may stand on the wire to its name; {} is any."""

    tag: int
    name: str
    kind: str
    values: dict[str, str]


@dataclass(frozen=True)
class Dictionary:
    """The fields and message types of the source."""

    fields: dict[str, Field]
    message_names: dict[str, str]

    def field_names(self) -> dict[int, str]:
        """Return the name of every tag."""
        return {field.tag: field.name for field in self.fields.values()}

    def value_names(self) -> dict[int, dict[str, str]]:
        """Return the names of values, by tag."""
        return {field.tag: field.values for field in self.fields.values() if field.values}


@cache
def load_dictionary() -> Dictionary:
    """Read the source: for people and tools that decode messages."""
    source = _load_source()
    messages = {msg_type: known["name"] for msg_type, known in source["messages"].items()}
    return Dictionary(_parse_fields(source["fields"]), messages)


def dictionary_path(version: str) -> Path:
    """Return QuickFIX's dictionary file of a FIX version such as "4.4"."""
    return DIRECTORY / f"FIX{version.replace('.', '')}.xml"


def build_xml(version: str) -> str:
    """Return QuickFIX's dictionary of a FIX version, made from the source."""
    source = _load_source()
    begin_string = source["versions"][version]
    kind, major, minor = begin_string.split(".")
    root = ElementTree.Element("fix", type=kind, major=major, minor=minor)
    builder = _Builder(source)
    builder.add_fields(ElementTree.SubElement(root, "header"), source["header"]["fields"])
    builder.add_fields(ElementTree.SubElement(root, "trailer"), source["trailer"]["fields"])
    messages = ElementTree.SubElement(root, "messages")
    for msg_type, known in source["messages"].items():
        element = ElementTree.SubElement(
            messages, "message", name=known["name"], msgtype=msg_type, msgcat=known["category"]
        )
        builder.add_fields(element, known["fields"])
    for msg_type in source["unspoken"][version].split():
        ElementTree.SubElement(
            messages, "message", name=f"Unspoken_{msg_type}", msgtype=msg_type, msgcat="app"
        )
    components = ElementTree.SubElement(root, "components")
    for name, fields in source["components"].items():
        builder.add_fields(ElementTree.SubElement(components, "component", name=name), fields)
    _add_field_definitions(ElementTree.SubElement(root, "fields"), source["fields"])
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


class _Builder:
    """Turns the source's lists of fields into QuickFIX's elements."""

    def __init__(self, source: dict[str, Any]) -> None:
        self._groups: dict[str, str] = source["groups"]
        self._known = {*source["fields"], *source["components"]}

    def add_fields(self, parent: ElementTree.Element, fields: str) -> None:
        for name, kind, required in _tokens(fields):
            if name not in self._known:
                raise ValueError(f"{SOURCE.name} uses {name} but does not define it")
            element = ElementTree.SubElement(parent, kind, name=name, required=required)
            if kind == "group":
                self.add_fields(element, self._groups[name])


def _tokens(fields: str) -> Iterator[tuple[str, str, str]]:
    for token in fields.split():
        required = "Y" if token.endswith("!") else "N"
        name = token.removesuffix("!")
        if name.endswith("[]"):
            yield name.removesuffix("[]"), "group", required
        elif name.endswith("()"):
            # QuickFIX takes a component's required fields for required only where it is so itself.
            yield name.removesuffix("()"), "component", required
        else:
            yield name, "field", required


def _add_field_definitions(parent: ElementTree.Element, definitions: dict[str, str]) -> None:
    for field in sorted(_parse_fields(definitions).values(), key=lambda field: field.tag):
        element = ElementTree.SubElement(
            parent, "field", number=str(field.tag), name=field.name, type=field.kind
        )
        for value, meaning in field.values.items():
            ElementTree.SubElement(element, "value", enum=value, description=meaning)


def _parse_fields(definitions: dict[str, str]) -> dict[str, Field]:
    fields = {}
    for name, definition in definitions.items():
        tag, kind, *values = definition.split()
        fields[name] = Field(int(tag), name, kind, dict(value.split("=", 1) for value in values))
    return fields


def _load_source() -> dict[str, Any]:
    return tomllib.loads(SOURCE.read_text())


if __name__ == "__main__":
    for known_version in _load_source()["versions"]:
        dictionary_path(known_version).write_text(build_xml(known_version))
