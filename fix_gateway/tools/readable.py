"""FIX messages for people: one line each, names instead of numbers, secrets masked."""

from typing import Final

from fix_gateway.fix.dictionary import Dictionary, load_dictionary
from fix_gateway.fix.fields import SOH, ExecType, MsgType, Tag

HEADER_TAGS: Final = frozenset({8, 9, 10, 34, 35, 49, 52, 56})
SECRET_TAGS: Final = frozenset({Tag.PASSWORD, Tag.NEW_PASSWORD, Tag.RAW_DATA})
MASK: Final = "***"
FILLED: Final = "2"


class Reader:
    """Puts messages into words."""

    def __init__(self, dictionary: Dictionary | None = None) -> None:
        known = dictionary or load_dictionary()
        self._field_names = known.field_names()
        self._value_names = known.value_names()
        self._message_names = known.message_names

    def describe(self, text: str) -> str:
        """Return `Name 34=n Field=value ...` for a message. Enumerated values are named."""
        pairs = [part.partition("=") for part in text.split(SOH) if part]
        head = {tag: value for tag, _, value in pairs if tag.isdigit() and int(tag) in HEADER_TAGS}
        msg_type = head.get("35", "?")
        name = self._message_names.get(msg_type, f"35={msg_type}")
        words = [
            self._describe_field(int(tag), value)
            for tag, _, value in pairs
            if tag.isdigit() and int(tag) not in HEADER_TAGS
        ]
        title = self._title(msg_type, name, pairs)
        return f"{title} #{head.get('34', '?')}  {' '.join(words)}"

    def _title(self, msg_type: str, name: str, pairs: list[tuple[str, str, str]]) -> str:
        if msg_type != MsgType.EXECUTION_REPORT:
            return name
        values = {tag: value for tag, _, value in pairs}
        exec_type, ord_status = values.get("150", "?"), values.get("39", "?")
        if exec_type == ExecType.TRADE:
            return f"{name} {'Fill' if ord_status == FILLED else 'Partial fill'}"
        meaning = self._value_names[Tag.EXEC_TYPE].get(exec_type, exec_type)
        return f"{name} {meaning.replace('_', ' ').capitalize()}"

    def _describe_field(self, tag: int, value: str) -> str:
        name = self._field_names.get(tag, str(tag))
        if tag in SECRET_TAGS:
            return f"{name}={MASK}"
        meaning = self._value_names.get(tag, {}).get(value, value)
        return f"{name}={meaning!r}" if " " in meaning else f"{name}={meaning}"
