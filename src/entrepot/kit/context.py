"""What every layer may want to know of the request at hand without being handed it."""

from contextvars import ContextVar

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
