"""What the gateway speaks: versions, messages, fields and values, read from one source.

The source is the TOML files of `dictionaries`. It makes QuickFIX's dictionaries
(`dictionary_xml`), what requests are checked against (`request_rules`) and docs/fix-spec.md
(`dictionary_doc`).
"""

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

DIRECTORY: Final = Path(__file__).with_name("dictionaries")
APPLICATION_VERSIONS: Final = ("4.2", "4.4", "5.0sp2")
"""The versions of orders and reports, the oldest first. Ranges in the source are in this order."""

TRANSPORT: Final = "fixt11"
VERSIONS: Final = ("4.2", "4.4", TRANSPORT, "5.0sp2")
"""The dictionaries that there are. FIX 5.0 SP2 has two: FIXT.1.1 has its session's messages."""

BEGIN_STRINGS: Final = {"FIX.4.2": "4.2", "FIX.4.4": "4.4", "FIXT.1.1": "5.0sp2"}
"""The version that BeginString(8) stands for."""

GOES_ON: Final = "..."
Kind = Literal["field", "group", "component"]
Direction = Literal["in", "out", "both"]


@dataclass(frozen=True)
class Field:
    """A field of the standard. `values` maps what may stand on the wire to its name; {} is any."""

    tag: int
    name: str
    kind: str
    values: dict[str, str]


class Element(NamedTuple):
    """A place in a list of fields. `group` names the list of a group's fields, "" for no group."""

    name: str
    kind: Kind
    is_required: bool
    group: str = ""


@dataclass(frozen=True)
class Rule:
    """What our rules of engagement say of a field of a message.

    `is_refused` when the message is refused for bearing it, `is_conditional` when it must stand
    there in some cases. `values` are those that we know, () for any that the standard has.
    """

    name: str
    is_refused: bool
    is_conditional: bool
    values: tuple[str, ...]
    note: str


@dataclass(frozen=True)
class Message:
    """A message type that we speak, in one version."""

    msg_type: str
    name: str
    category: Literal["admin", "app"]
    direction: Direction
    about: str
    elements: list[Element]
    rules: list[Rule]
    example: str


@dataclass(frozen=True)
class Version:
    """One version of the standard, as far as we speak it.

    `fields` go by the names of this version; `own_fields` are those that its standard does not have
    in any message of ours. `header_rules` hold for every message. `transport` names the version
    that its session's messages are of, `unspoken` the message types of the standard that we do not
    speak.
    """

    key: str
    begin_string: str
    transport: str
    appl_ver_id: str | None
    fields: dict[str, Field]
    own_fields: dict[str, Field]
    header: list[Element]
    trailer: list[Element]
    groups: dict[str, list[Element]]
    components: dict[str, list[Element]]
    header_rules: list[Rule]
    messages: dict[str, Message]
    unspoken: list[str]

    def field(self, name: str) -> Field:
        """Return a field by name, also one that no standard has."""
        return self.fields.get(name) or self.own_fields[name]

    def required_tags(self, msg_type: str) -> set[int]:
        """Return the tags that such a message must bear, wherever in it."""
        return set(self._required(self.messages[msg_type].elements))

    def tags(self, msg_type: str) -> set[int]:
        """Return the tags that such a message may bear between header and trailer."""
        return set(self._flat(self.messages[msg_type].elements))

    def group_tags(self, msg_type: str) -> dict[int, int]:
        """Return the first field of every repeating group of such a message, by its counter."""
        return dict(self._group_tags(self.messages[msg_type].elements))

    def header_tags(self) -> set[int]:
        """Return the tags of header and trailer."""
        return {*self._flat(self.header), *self._flat(self.trailer)}

    def _group_tags(self, elements: Iterable[Element]) -> Iterator[tuple[int, int]]:
        for element in elements:
            if element.kind == "component":
                yield from self._group_tags(self.components[element.name])
            elif element.kind == "group":
                entry = self.groups[element.group]
                yield self.fields[element.name].tag, next(self._flat(entry))
                yield from self._group_tags(entry)

    def _required(self, elements: Iterable[Element]) -> Iterator[int]:
        for element in elements:
            if element.is_required and element.kind == "component":
                yield from self._required(self.components[element.name])
            elif element.is_required:
                yield self.field(element.name).tag

    def _flat(self, elements: Iterable[Element]) -> Iterator[int]:
        for element in elements:
            if element.kind == "component":
                yield from self._flat(self.components[element.name])
                continue
            yield self.field(element.name).tag
            if element.kind == "group":
                yield from self._flat(self.groups[element.group])


@dataclass(frozen=True)
class Dictionary:
    """Names of fields, values and message types, of one version or of all together."""

    fields: dict[str, Field]
    message_names: dict[str, str]

    def field_names(self) -> dict[int, str]:
        """Return the name of every tag."""
        return {field.tag: field.name for field in self.fields.values()}

    def value_names(self) -> dict[int, dict[str, str]]:
        """Return the names of values, by tag."""
        return {field.tag: field.values for field in self.fields.values() if field.values}


@cache
def load_dictionary(version: str | None = None) -> Dictionary:
    """Read the source: for people and tools that decode messages, of any version by default."""
    if version is not None:
        loaded = load_version(version)
        names = {key: each.name for key, each in loaded.messages.items()}
        return Dictionary(loaded.fields | loaded.own_fields, names)
    ours = _read("messages")
    names = {msg_type: known["name"] for msg_type, known in ours["messages"].items()}
    definitions = _read("fields")["fields"] | ours["own_fields"]
    return Dictionary(_parse_fields(definitions, None), names)


@cache
def load_version(version: str) -> Version:
    """Read what a version of the standard has: "4.2", "4.4" or "5.0sp2"."""
    source = _read_version(version)
    renamed: dict[str, str] = source.get("names", {})
    fields = {
        renamed.get(name, name): Field(field.tag, renamed.get(name, name), field.kind, field.values)
        for name, field in _parse_fields(_read("fields")["fields"], version).items()
    }
    ours = _read("messages")
    spoken = ours["messages"]
    return Version(
        key=version,
        begin_string=source["begin_string"],
        transport=source["transport"],
        appl_ver_id=source.get("appl_ver_id"),
        fields=fields,
        own_fields=_parse_fields(ours["own_fields"], version),
        header=_parse_elements(source["header"], renamed),
        trailer=_parse_elements(source["trailer"], renamed),
        groups={
            renamed.get(name, name): _parse_elements(text, renamed)
            for name, text in source["groups"].items()
        },
        components={
            name: _parse_elements(text, renamed) for name, text in source["components"].items()
        },
        header_rules=list(_parse_rules(ours["header"]["rules"], version, renamed)),
        messages={
            msg_type: _make_message(msg_type, text, spoken[msg_type], version, renamed)
            for msg_type, text in source["messages"].items()
        },
        unspoken=[each for each in source["unspoken"] if each not in source["messages"]],
    )


def dictionary_path(version: str) -> Path:
    """Return QuickFIX's dictionary file of a version, of `VERSIONS`."""
    return DIRECTORY / f"FIX{version.replace('.', '').replace('fixt', 'T').upper()}.xml"


def holds(expression: str, version: str | None) -> bool:
    """Whether a range such as "4.4.." or "..4.2" contains the version. None is in every one."""
    if version is None or not expression:
        return True
    first, _, last = expression.partition("..")
    place = APPLICATION_VERSIONS.index(version)
    return (not first or place >= APPLICATION_VERSIONS.index(first)) and (
        not last or place <= APPLICATION_VERSIONS.index(last)
    )


def _make_message(
    msg_type: str, text: str, known: dict[str, Any], version: str, renamed: dict[str, str]
) -> Message:
    return Message(
        msg_type=msg_type,
        name=known["name"],
        category=known["category"],
        direction=known["direction"],
        about=" ".join(known["about"].split()),
        elements=_parse_elements(text, renamed),
        rules=list(_parse_rules(known.get("rules", ""), version, renamed)),
        example=known.get("examples", {}).get(version, known.get("example", "")),
    )


def _parse_rules(text: str, version: str, renamed: dict[str, str]) -> Iterator[Rule]:
    """Parse lines of `NAME[@RANGE] [C | -] [=VALUE,...] | NOTE`."""
    for line in text.strip().splitlines():
        head, _, note = line.partition(" | ")
        named, *marks = head.split()
        name, _, expression = named.partition("@")
        if not holds(expression, version):
            continue
        values = [mark.removeprefix("=") for mark in marks if mark.startswith("=")]
        yield Rule(
            name=renamed.get(name, name),
            is_refused="-" in marks,
            is_conditional="C" in marks,
            values=tuple(values[0].split(",")) if values else (),
            note=note.strip(),
        )


def _parse_elements(text: str, renamed: dict[str, str]) -> list[Element]:
    elements: dict[str, Element] = {}
    for token in text.split():
        name = token.removesuffix("!")
        is_required = token.endswith("!")
        kind: Kind = "field"
        group = ""
        if name.endswith("]"):
            kind = "group"
            group = name.removesuffix("[]")
            name = name.partition("[")[0]
        elif name.endswith("()"):
            # QuickFIX takes a component's required fields for required only where it is so itself.
            kind = "component"
        name = name.removesuffix("()")
        name = name if kind == "component" else renamed.get(name, name)
        elements[name] = Element(name, kind, is_required, renamed.get(group, group))
    return list(elements.values())


def _parse_fields(definitions: dict[str, str], version: str | None) -> dict[str, Field]:
    fields = {}
    for name, definition in definitions.items():
        tag, kind, *texts = definition.split()
        values = {}
        for text in texts:
            value, _, meaning = text.partition("=")
            meaning, _, expression = meaning.partition("@")
            if holds(expression, version):
                values[value] = meaning
        fields[name] = Field(int(tag), name, kind, values)
    return fields


def _read_version(version: str) -> dict[str, Any]:
    """Return a version's source, in which every list stands in full."""
    own = _read(f"fix{version.replace('.', '')}")
    for part in ("header", "trailer"):
        own[part] = own[part]["fields"]
    own["unspoken"] = own["unspoken"]["types"].split()
    if "continues" not in own:
        return own
    former = _read_version(own["continues"])
    for part in ("header", "trailer"):
        own[part] = own[part].replace(GOES_ON, former[part])
    for part in ("groups", "components", "messages"):
        lists = own[part]
        own[part] = former[part] | {
            name: text.replace(GOES_ON, former[part].get(name, "")) for name, text in lists.items()
        }
    return own


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((DIRECTORY / f"{name}.toml").read_text())
