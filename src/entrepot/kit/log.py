"""Structured logs on the standard library: one JSON object a line, no secrets, no forged lines.

    log = logging.getLogger(__name__)
    log.info("link issued", extra={"lease_id": 7, "organisation_id": 3})

    {"ts":"2026-01-31T09:30:00.125Z","level":"info","event":"link issued",
     "logger":"entrepot.core.delivery","request_id":"...","lease_id":7,"organisation_id":3}

`ts` is RFC 3339 in UTC with milliseconds. An exception is one text under `exception`. The
JSON is plain ASCII: a value's line breaks, control and bidi characters stay inside it,
escaped. On a terminal the same fields come in a form for people.
"""

import contextlib
import json
import logging
import sys
import time
from typing import TextIO

from entrepot.kit.context import request_id
from entrepot.kit.redaction import may_hold_secret, redact, redact_value

__all__ = ["HumanFormatter", "JsonFormatter", "configure", "request_id"]

TEXT_LENGTH_MAX = 8_192
EXCEPTION_LENGTH_MAX = 32_768

_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_OWN_FIELDS = frozenset({"ts", "level", "event", "logger", "request_id", "exception", "stack"})
_LEVELS = {level: name.lower() for name, level in logging.getLevelNamesMapping().items()}
_encode = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode


class _Stamps:
    """Times as text; the part down to the second is worked out once a second."""

    def __init__(self) -> None:
        self._second = (-1, "")

    def __call__(self, seconds: float) -> str:
        whole = int(seconds)
        known, text = self._second
        if known != whole:
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
            self._second = (whole, text)
        return f"{text}.{int((seconds - whole) * 1000):03d}Z"


stamp = _Stamps()


def _message(record: logging.LogRecord) -> str:
    """The record's text; a wrong number of arguments must not lose the record."""
    try:
        return record.getMessage()
    except Exception as fault:
        try:
            return f"{record.msg} {record.args!r}"
        except Exception:
            return f"[{type(fault).__name__} while reading this message]"


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields: dict[str, object] = {
        "ts": stamp(record.created),
        "level": _LEVELS.get(record.levelno) or record.levelname.lower(),
        "event": _message(record),
        "logger": record.name,
    }
    current = request_id.get()
    if current is not None:
        fields["request_id"] = current
    for name, value in vars(record).items():
        if name not in _STANDARD_FIELDS:
            fields[f"extra_{name}" if name in _OWN_FIELDS else str(name)] = value
    if record.exc_info and record.exc_info[0] is not None:
        fields["exception"] = _FORMATTER.formatException(record.exc_info)
    if record.stack_info:
        fields["stack"] = record.stack_info
    return fields


_FORMATTER = logging.Formatter()


def _limited(name: str, value: object) -> object:
    """`value` with its texts cut to their limit, an exception in its middle: both ends tell."""
    if isinstance(value, dict):
        return {key: _limited(str(key), each) for key, each in value.items()}
    if isinstance(value, list):
        return [_limited("", each) for each in value]
    if not isinstance(value, str):
        return value
    if name != "exception":
        cut = len(value) - TEXT_LENGTH_MAX
        return f"{value[:TEXT_LENGTH_MAX]} [{cut} characters cut]" if cut > 0 else value
    half, cut = EXCEPTION_LENGTH_MAX // 2, len(value) - EXCEPTION_LENGTH_MAX
    return f"{value[:half]} [{cut} characters cut] {value[-half:]}" if cut > 0 else value


def _safe(fields: dict[str, object]) -> dict[str, object]:
    """The fields as plain values, without secrets, within their limits. Never raises."""
    safe: dict[str, object] = {}
    for name, value in fields.items():
        try:
            safe[redact(name)] = _limited(name, redact_value(value, name=name))
        except Exception as fault:
            safe[redact(name)] = f"[{type(fault).__name__} while reading this value]"
    return safe


class JsonFormatter(logging.Formatter):
    """One ASCII line of JSON a record."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        fields = _fields(record)
        try:
            line = _encode(fields)
        except (TypeError, ValueError, RecursionError):
            line = ""  # a value that JSON does not know
        if line and len(line) <= TEXT_LENGTH_MAX and not may_hold_secret(line):
            return line
        safe = _safe(fields)
        try:
            return _encode(safe)
        except ValueError:  # NaN and the infinities
            return _encode({name: _json_value(value) for name, value in safe.items()})


def _json_value(value: object) -> object:
    return value if isinstance(value, str | int | None) else str(value)


class HumanFormatter(logging.Formatter):
    """For a terminal: time, level, logger, event, fields; an exception indented below."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and more for an exception, each of those indented."""
        fields = _safe(_fields(record))
        stamp, level, event, name = (
            _printable(fields.pop(field)) for field in ("ts", "level", "event", "logger")
        )
        below = [str(fields.pop(field)) for field in ("exception", "stack") if field in fields]
        pairs = "".join(f" {_printable(key)}={_printable(fields[key])}" for key in fields)
        head = f"{stamp[11:23]} {level.upper():8}{name}: {event}{pairs}"
        lines = (line for text in below for line in text.splitlines())
        return "\n".join((head, *(f"    {_printable(line)}" for line in lines)))


def _printable(value: object) -> str:
    text = str(value)
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


class _Handler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Drop the record: the default prints it unredacted to a stream that fails anyway."""

    def write(self, line: str) -> None:
        """Write a line that has been formatted, redacted and ended elsewhere."""
        # A stream that fails loses the record, as in handleError.
        with contextlib.suppress(OSError, ValueError), self.lock or contextlib.nullcontext():
            self.stream.write(line)
            self.stream.flush()


def json_handler(logger: logging.Logger) -> _Handler | None:
    """The handler of `configure` where it writes JSON and nothing else hears of `logger`."""
    root = logging.getLogger()
    if logger.handlers or logger.filters or not logger.propagate or len(root.handlers) != 1:
        return None
    handler = root.handlers[0]
    if isinstance(handler, _Handler) and not handler.filters:
        return handler if isinstance(handler.formatter, JsonFormatter) else None
    return None


def configure(
    level: int | str = logging.INFO, stream: TextIO | None = None, *, form: str = "auto"
) -> None:
    """Send every record of `level` and above to `stream` (stderr), by JSON or for people.

    `form` is `json`, `text`, or `auto`: for people on a terminal. Calling it again
    replaces what it set up before. Raises ValueError for an unknown level.
    """
    target = stream if stream is not None else sys.stderr
    handler = _Handler(target)
    for_people = target.isatty() if form == "auto" else form == "text"
    handler.setFormatter(HumanFormatter() if for_people else JsonFormatter())
    root = logging.getLogger()
    root.setLevel(level.upper() if isinstance(level, str) else level)
    for old in [each for each in root.handlers if isinstance(each, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    logging.captureWarnings(capture=True)
    # Nothing above prints them, and looking them up costs a microsecond a record.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
