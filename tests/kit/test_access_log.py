"""The access log reads as if it came through logging, whatever a request brings along."""

import io
import json
import logging
import time
from collections.abc import Iterator
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.kit import log
from entrepot.kit.access_log import LOGGER, log_request

REQUEST_ID = "3f0c6a52-9d1e-4b71-8a44-0d3f5b0e7c11"
TOKEN = "AbC0_-xyz" * 8 + "12345678"


@pytest.fixture(autouse=True)
def _own_root() -> Iterator[None]:
    """Only our handler hears the records, as in a web process; put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def written(path: str, *, method: str = "GET", peer: str = "192.0.2.7", level: str = "info") -> str:
    stream = io.StringIO()
    logging.getLogger().handlers.clear()
    log.configure(level, stream)
    log_request(
        request_id=REQUEST_ID, method=method, path=path, status=206, seconds=0.01234, peer=peer
    )
    return stream.getvalue()


def by_logging(path: str, *, method: str, peer: str) -> dict[str, object]:
    """The same record by the usual way."""
    stream = io.StringIO()
    logging.getLogger().handlers.clear()
    log.configure("info", stream)
    fields = {"method": method, "path": path, "status": 206, "ms": 12.34, "peer": peer}
    token = log.request_id.set(REQUEST_ID)
    try:
        logging.getLogger(LOGGER).info("request", extra=fields)
    finally:
        log.request_id.reset(token)
    found: dict[str, object] = json.loads(stream.getvalue())
    return found


PATHS = st.text(max_size=60).map(lambda text: f"/{text}")


@given(path=PATHS.filter(lambda path: not path.startswith("/dl/")), peer=st.ip_addresses().map(str))
def test_same_fields_in_the_same_order_as_by_logging(path: str, peer: str) -> None:
    line = written(path, peer=peer)
    assert line.isascii()
    assert line.endswith("\n")
    assert line.count("\n") == 1
    mine, usual = json.loads(line), by_logging(path, method="GET", peer=peer)
    assert list(mine) == list(usual)
    assert mine | {"ts": ""} == usual | {"ts": ""}
    assert abs(time.time() - datetime.fromisoformat(mine["ts"]).timestamp()) < 60


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (f"/dl/{TOKEN}/file.bin", "/dl/[redacted]/file.bin"),
        (f"/dl/{TOKEN}", "/dl/[redacted]"),
        (f"/dl/{TOKEN}/x/dl/{TOKEN}/y", "/dl/[redacted]/x/dl/[redacted]/y"),
        (f"/other/dl/{TOKEN}/file.bin", "/other/dl/[redacted]/file.bin"),
        ("/oauth/token", "/oauth/token"),
        ("/page?token=abc", "/page?token=[redacted]"),
    ],
)
def test_links_and_secrets_are_hidden(path: str, shown: str) -> None:
    line = written(path)
    assert TOKEN not in line
    assert json.loads(line)["path"] == shown


def test_a_long_path_is_cut() -> None:
    assert len(written("/" + "x" * 50_000)) < 10_000


def test_nothing_is_written_below_the_level() -> None:
    assert written("/", level="warning") == ""


def test_other_handlers_hear_of_requests_too() -> None:
    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            kept.append(record)

    kept: list[logging.LogRecord] = []
    stream = io.StringIO()
    log.configure("info", stream)
    keeper = Keeper()
    logging.getLogger(LOGGER).addHandler(keeper)
    try:
        log_request(request_id="r" * 8, method="GET", path="/", status=200, seconds=0, peer="")
    finally:
        logging.getLogger(LOGGER).removeHandler(keeper)
    assert [record.getMessage() for record in kept] == ["request"]
    assert json.loads(stream.getvalue())["event"] == "request"


def test_people_get_it_in_their_form(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    log.configure("info", stream)
    log_request(
        request_id="r" * 8, method="GET", path=f"/dl/{TOKEN}/f", status=200, seconds=0, peer="::1"
    )
    assert "GET" in stream.getvalue()
    assert TOKEN not in stream.getvalue()


def test_a_stream_that_fails_stops_no_request() -> None:
    stream = io.StringIO()
    log.configure("info", stream)
    stream.close()
    log_request(request_id="r" * 8, method="GET", path="/", status=200, seconds=0, peer="")
