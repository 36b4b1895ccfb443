"""What a session is told of each event: as message bodies, a function of the event alone."""

from engine.events import OrderEvent
from engine.request_events import RequestEvent
from engine.runtime.feed import SessionEvent
from fix_gateway.fix.answers import AnswerBuilder
from fix_gateway.fix.execution_report import ReportBuilder


class EventMessages:
    """Builds them in one session's dialect. Belongs to the gateway's thread."""

    def __init__(self, reports: ReportBuilder, answers: AnswerBuilder) -> None:
        self._reports = reports
        self._answers = answers

    def build(self, told: SessionEvent, *, is_poss_resend: bool) -> list[str]:
        """Return the messages, from 35= on: mostly one, none where the version has no words."""
        event = told.event
        if isinstance(event, OrderEvent):
            report = self._reports.build_report(
                event,
                told.position,
                told.happened_at_ns,
                is_poss_resend=is_poss_resend,
                is_copy=told.is_copy,
                command_bytes=told.command_bytes,
            )
            return [report]
        assert isinstance(event, RequestEvent)
        return self._answers.build(
            event, told.position, told.happened_at_ns, is_poss_resend=is_poss_resend
        )
