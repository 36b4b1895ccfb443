"""docs/fix-spec.md, made from the source: the rules of engagement. `python -m` writes it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fix_gateway.fix.dictionary import (
    APPLICATION_VERSIONS,
    DIRECTORY,
    Message,
    Rule,
    Version,
    load_dictionary,
    load_version,
)
from fix_gateway.fix.error_codes import ERROR_CODES
from fix_gateway.fix.fields import Tag
from fix_gateway.fix.framing import build_frame

DOCUMENT: Final = Path("docs/fix-spec.md")  # Of the project, in whose directory this is run.
TITLES: Final = {"4.2": "FIX 4.2", "4.4": "FIX 4.4", "5.0sp2": "FIX 5.0 SP2"}
WAYS: Final = {"in": "To the gateway", "out": "From the gateway", "both": "Both ways"}
COMP_IDS: Final = {"4.2": "U01", "4.4": "T01", "5.0sp2": "V01"}
GATEWAY: Final = "WCX"
SENDING_TIMES: Final = {
    "4.2": "20261123-09:30:00.125",
    "4.4": "20261123-09:30:00.125",
    "5.0sp2": "20261123-09:30:00.125250",
}
REASONS: Final = (
    "OrdRejReason",
    "CxlRejReason",
    "ExecRestatementReason",
    "BusinessRejectReason",
    "SessionRejectReason",
)

INTRODUCTION: Final = DIRECTORY / "introduction.md"


def build_document() -> str:
    """Return docs/fix-spec.md."""
    versions = [load_version(version) for version in APPLICATION_VERSIONS]
    parts = [INTRODUCTION.read_text(), "\n## Standard header\n\n", *_table(versions, None)]
    for msg_type in load_dictionary().message_names:
        parts += _section(msg_type, versions)
    parts += _reasons(versions)
    parts += _error_codes()
    return "".join(parts)


def example_frame(message: Message, version: Version) -> bytes:
    """Return the message's example as a whole message of the version."""
    sender, target = COMP_IDS[version.key], GATEWAY
    if message.direction == "out":
        sender, target = target, sender
    body = (
        f"35={message.msg_type}|34=7|49={sender}|52={SENDING_TIMES[version.key]}|56={target}|"
        f"{message.example}|"
    )
    return build_frame(version.begin_string, body.replace("|", "\x01").encode())


def _section(msg_type: str, versions: list[Version]) -> Iterator[str]:
    spoken = [version for version in versions if msg_type in version.messages]
    message = spoken[-1].messages[msg_type]
    yield f"\n## {message.name} ({msg_type})\n\n"
    others = "" if len(spoken) == len(versions) else f", {_titles(spoken)} only"
    yield f"*{WAYS[message.direction]}{others}.* {message.about}\n\n"
    yield from _table(spoken, msg_type)
    for version in _with_own_example(msg_type, spoken):
        shown = example_frame(version.messages[msg_type], version).decode().replace("\x01", " | ")
        yield f"\n{TITLES[version.key]}:\n\n    {shown.removesuffix(' | ')}\n"


def _with_own_example(msg_type: str, spoken: list[Version]) -> list[Version]:
    """Return the versions whose example is worth showing: those that differ, or one of them."""
    if len({version.messages[msg_type].example for version in spoken}) > 1:
        return spoken
    return [version for version in spoken if version.key == "4.4"]


def _table(versions: list[Version], msg_type: str | None) -> Iterator[str]:
    """Yield the rows of a message's fields, or of the header's. Versions that agree share a row."""
    yield "| tag | name | versions | required | values and notes |\n|---|---|---|---|---|\n"
    rows: dict[tuple[int, str, str, str], list[Version]] = {}
    for version in versions:
        for rule in version.header_rules if msg_type is None else version.messages[msg_type].rules:
            field = version.field(rule.name)
            row = (field.tag, rule.name, _required(version, msg_type, rule), rule.note)
            rows.setdefault(row, []).append(version)
    for (tag, name, required, note), owners in rows.items():
        all_or_some = "all" if len(owners) == len(versions) else _titles(owners)
        yield f"| {tag} | {name} | {all_or_some} | {required} | {note} |\n"


def _required(version: Version, msg_type: str | None, rule: Rule) -> str:
    if rule.is_refused:
        return "refused"
    if rule.is_conditional:
        return "see note"
    if msg_type is None:
        elements = {element.name: element.is_required for element in version.header}
        return "yes" if elements[rule.name] else "no"
    if version.messages[msg_type].direction == "out":
        return "yes"
    return "yes" if version.field(rule.name).tag in version.required_tags(msg_type) else "no"


def _reasons(versions: list[Version]) -> Iterator[str]:
    yield "\n## Reasons\n\n"
    yield "What codes are called in each version; `-` is one that the version does not have.\n"
    for name in REASONS:
        tag = versions[-1].fields[name].tag
        yield f"\n### {name}({tag})\n\n"
        yield f"| code | {' | '.join(TITLES.values())} |\n|---|---|---|---|\n"
        codes = dict.fromkeys(code for each in versions for code in each.fields[name].values)
        for code in sorted(codes, key=_place):
            words = [each.fields[name].values.get(code, "-") for each in versions]
            yield f"| {code} | {' | '.join(word.replace('_', ' ').lower() for word in words)} |\n"


def _error_codes() -> Iterator[str]:
    """Yield the table of the codes in front of Text(58) and their numbers."""
    yield f"\n### ErrorCode({int(Tag.ERROR_CODE)})\n\n"
    yield "The codes in front of Text(58), and their numbers. Neither ever changes its meaning.\n\n"
    yield "| number | code |\n|---|---|\n"
    for name, number in ERROR_CODES.items():
        yield f"| {number} | `{name}` |\n"


def _place(code: str) -> tuple[bool, int | str]:
    return (not code.isdigit(), int(code) if code.isdigit() else code)


def _titles(versions: list[Version]) -> str:
    return ", ".join(TITLES[version.key] for version in versions)


if __name__ == "__main__":
    DOCUMENT.write_text(build_document())
