"""Whether a message is legal in a version of FIX, as QuickFIX and our dictionaries have it."""

from functools import cache

import quickfix

from fix_gateway.fix.dictionary import BEGIN_STRINGS, TRANSPORT, dictionary_path, load_version
from fix_gateway.fix.fields import Tag, parse_message


@cache
def _load(version: str) -> "quickfix.DataDictionary":
    return quickfix.DataDictionary(str(dictionary_path(version)))


def check_message(raw: str) -> None:
    """Raise what QuickFIX finds wrong with a whole message, by the dictionaries of its version."""
    fields = parse_message(raw)
    version = load_version(BEGIN_STRINGS[fields[8]])
    application = _load(version.key)
    if version.transport != TRANSPORT:
        application.validate(quickfix.Message(raw, application, True))
        return
    session = _load(TRANSPORT)
    message = version.messages[fields[Tag.MSG_TYPE]]
    body = session if message.category == "admin" else application
    quickfix.DataDictionary.validate(quickfix.Message(raw, session, body, True), session, body)
