"""QuickFIX's dictionaries, made from the source. `python -m` writes them."""

from collections.abc import Iterable
from xml.etree import ElementTree

from fix_gateway.fix.dictionary import (
    APPLICATION_VERSIONS,
    TRANSPORT,
    VERSIONS,
    Element,
    Message,
    Version,
    dictionary_path,
    load_version,
)


def build_xml(version: str) -> str:
    """Return QuickFIX's dictionary of a version, of `VERSIONS`, made from the source."""
    loaded = load_version(APPLICATION_VERSIONS[-1] if version == TRANSPORT else version)
    is_split = loaded.transport == TRANSPORT
    messages = [
        message
        for message in loaded.messages.values()
        if not is_split or (message.category == "admin") == (version == TRANSPORT)
    ]
    attributes = {"type": "FIX", "major": "5", "minor": "0", "servicepack": "2"}
    if not is_split or version == TRANSPORT:
        kind, major, minor = loaded.begin_string.split(".")
        attributes = {"type": kind, "major": major, "minor": minor}
    return _Builder(loaded, messages).build(
        attributes, has_envelope=not is_split or version == TRANSPORT
    )


class _Builder:
    """Turns lists of fields into QuickFIX's elements, with the definitions of all that they use."""

    def __init__(self, version: Version, messages: list[Message]) -> None:
        self._version = version
        self._messages = messages
        self._fields: set[str] = set()
        self._components: dict[str, ElementTree.Element] = {}

    def build(self, attributes: dict[str, str], *, has_envelope: bool) -> str:
        """Return the dictionary; without its envelope it has neither header nor trailer."""
        version = self._version
        root = ElementTree.Element("fix", attributes)
        header = ElementTree.SubElement(root, "header")
        trailer = ElementTree.SubElement(root, "trailer")
        if has_envelope:
            self._add(header, version.header)
            self._add(trailer, version.trailer)
        messages = ElementTree.SubElement(root, "messages")
        for message in self._messages:
            element = ElementTree.SubElement(
                messages,
                "message",
                name=message.name,
                msgtype=message.msg_type,
                msgcat=message.category,
            )
            self._add(element, message.elements)
        if any(message.category == "app" for message in self._messages):
            for msg_type in version.unspoken:
                ElementTree.SubElement(
                    messages, "message", name=f"Unspoken_{msg_type}", msgtype=msg_type, msgcat="app"
                )
        components = ElementTree.SubElement(root, "components")
        components.extend(self._components.values())
        self._define_fields(ElementTree.SubElement(root, "fields"))
        ElementTree.indent(root)
        return ElementTree.tostring(root, encoding="unicode") + "\n"

    def _add(self, parent: ElementTree.Element, elements: Iterable[Element]) -> None:
        for name, kind, is_required, group in elements:
            required = "Y" if is_required else "N"
            element = ElementTree.SubElement(parent, kind, name=name, required=required)
            if kind == "component":
                self._add_component(name)
                continue
            self._fields.add(name)
            if kind == "group":
                self._add(element, self._version.groups[group])

    def _add_component(self, name: str) -> None:
        if name not in self._components:
            self._components[name] = ElementTree.Element("component", name=name)
            self._add(self._components[name], self._version.components[name])

    def _define_fields(self, parent: ElementTree.Element) -> None:
        used = [self._version.field(name) for name in self._fields]
        for field in sorted(used, key=lambda field: field.tag):
            element = ElementTree.SubElement(
                parent, "field", number=str(field.tag), name=field.name, type=field.kind
            )
            for value, meaning in field.values.items():
                ElementTree.SubElement(element, "value", enum=value, description=meaning)


if __name__ == "__main__":
    for known_version in VERSIONS:
        dictionary_path(known_version).write_text(build_xml(known_version))
