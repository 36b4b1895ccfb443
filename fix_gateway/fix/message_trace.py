"""What becomes of a client's messages, at the level debug, under the names that they go by."""

import structlog

from engine.runtime.record_trace import is_tracing, name_request
from fix_gateway.fix.fields import Fields, Tag, printable
from fix_gateway.fix.request_parts import SessionContext

log = structlog.get_logger("fix.message")


class MessageTrace:
    """Logs the messages of one session, if it `is_on`. Belongs to the gateway's thread."""

    def __init__(self) -> None:
        self.is_on = is_tracing()
        self._comp_id = ""
        self._context: SessionContext | None = None

    def note_received(self, fields: Fields, context: SessionContext) -> None:
        """A message came."""
        if self.is_on:
            self._comp_id = fields[Tag.SENDER_COMP_ID]
            self._context = context
            self._note("message_received", fields)

    def note_refused(self, fields: Fields, text: str) -> None:
        """It, or one that came before it on this connection, is refused at the door."""
        if self.is_on:
            self._note("message_refused", fields, text)

    def _note(self, name: str, fields: Fields, text: str | None = None) -> None:
        context, number = self._context, int(fields[Tag.MSG_SEQ_NUM])
        log.debug(
            name,
            request=context and name_request(context.session_id, context.epoch, number),
            session=self._comp_id,
            msg_type=fields[Tag.MSG_TYPE],
            cl_ord_id=printable(fields.get(Tag.CL_ORD_ID, "")),
            text=text,
        )
