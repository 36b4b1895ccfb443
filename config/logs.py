"""Logs: an event name and fields, one line each, on standard error. Secrets are masked here.

Set up once by each composition root; everyone else asks structlog for a logger.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Final, Literal

import structlog

MASK: Final = "***"
SECRET_KEYS: Final = frozenset({"password", "new_password", "secret", "token", "authorization"})
# Password(554), NewPassword(925), RawData(96) and the password of a URL, wherever they stand.
SECRET_TEXT: Final = re.compile(r"(?P<tag>(?:^|[\x01|])(?:554|925|96)=)[^\x01|]*")
SECRET_URL: Final = re.compile(r"(?P<head>://[^:/@\s]*:)[^@\s]*@")


def set_up_logs(
    process: str,
    *,
    level: Literal["debug", "info", "warning", "error"] = "info",
    log_format: Literal["text", "json"] = "text",
) -> None:
    """Send this process's logs, and those of the libraries it uses, to standard error."""
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _Named(process),
        mask_secrets,
    ]
    structlog.configure(
        processors=[*shared, _renderer(log_format)],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _renderer(log_format),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(number, logging.WARNING))


def mask_secrets(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace what must not be read in a log: by its key, or by how it looks inside a text."""
    for key, value in event.items():
        if key.lower() in SECRET_KEYS:
            event[key] = MASK
        elif isinstance(value, str):
            event[key] = mask_text(value)
    return event


def mask_text(text: str) -> str:
    """Return the text with the secrets of FIX messages and URLs in it replaced."""
    return SECRET_URL.sub(rf"\g<head>{MASK}@", SECRET_TEXT.sub(rf"\g<tag>{MASK}", text))


class _Named:
    """Adds the name of the process to each line."""

    def __init__(self, process: str) -> None:
        self._process = process

    def __call__(
        self, _logger: object, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        event["process"] = self._process
        return event


def _renderer(log_format: str) -> structlog.typing.Processor:
    if log_format == "json":
        return structlog.processors.JSONRenderer()
    return structlog.processors.LogfmtRenderer(
        key_order=["timestamp", "level", "process", "event"], drop_missing=True
    )
