"""Logs: one line a record, nothing secret in it, nothing forged, and cheap."""

import io
import json
import logging
import re
import sys
import time
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrepot.kit import log
from entrepot.kit.redaction import redact

TOKEN = "k1.AbCdEf-_0123456789.MTIz"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiI3In0.c2lnbmF0dXJl"


@pytest.fixture(autouse=True)
def root_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    flags = (logging.logThreads, logging.logProcesses, logging.logMultiprocessing)
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:], root.level = handlers, level
    logging.logThreads, logging.logProcesses, logging.logMultiprocessing = flags


@pytest.fixture
def stream() -> io.StringIO:
    stream = io.StringIO()
    log.configure("DEBUG", stream)
    return stream


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


logger = logging.getLogger("entrepot.test")


def fail(text: str) -> None:
    raise ValueError(text)


def only_record(stream: io.StringIO) -> dict[str, object]:
    text = stream.getvalue()
    assert text.endswith("\n")
    assert len(text.splitlines()) == 1
    record = json.loads(text)
    assert isinstance(record, dict)
    return record


def test_the_fields_of_a_record(stream: io.StringIO) -> None:
    before = datetime.now(UTC)
    held = log.request_id.set("r-1")
    try:
        logger.warning("link %s for %d", "issued", 3, extra={"lease_id": 7, "ratio": 0.5})
    finally:
        log.request_id.reset(held)
    record = only_record(stream)
    stamp = str(record.pop("ts"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", stamp)
    assert abs((datetime.fromisoformat(stamp) - before).total_seconds()) < 5
    assert record == {
        "level": "warning",
        "event": "link issued for 3",
        "logger": "entrepot.test",
        "request_id": "r-1",
        "lease_id": 7,
        "ratio": 0.5,
    }


def test_no_request_no_request_id(stream: io.StringIO) -> None:
    logger.info("started")
    assert "request_id" not in only_record(stream)


@pytest.mark.parametrize("seconds", [0.0, 1769851800.1256, 1769851800.9999, 1769851801.0])
def test_stamps_are_cut_to_milliseconds(stream: io.StringIO, seconds: float) -> None:
    record = logging.makeLogRecord({"msg": "x", "created": seconds})
    stamp = datetime.fromisoformat(json.loads(log.JsonFormatter().format(record))["ts"])
    assert stamp == datetime.fromtimestamp(int(seconds * 1000) / 1000, UTC)


def test_an_exception_is_one_field(stream: io.StringIO) -> None:
    try:
        fail("first line\nsecond line")
    except ValueError:
        logger.exception("it failed")
    record = only_record(stream)
    assert record["level"] == "error"
    assert "Traceback" in str(record["exception"])
    assert "first line\nsecond line" in str(record["exception"])


SECRETS = [
    (f"GET /dl/{TOKEN}/a.zip 200", f"GET /dl/{'[redacted]'}/a.zip 200"),
    (f"https://hub.example/dl/{TOKEN}/a%20b.zip", "https://hub.example/dl/[redacted]/a%20b.zip"),
    (f"next=%2Fdl%2F{TOKEN}%2Fa.zip", "next=%2Fdl%2F[redacted]%2Fa.zip"),
    (f"/DL/{TOKEN}", "/DL/[redacted]"),
    ("sent Bearer abc.def-1~2+3/4= to hub", "sent Bearer [redacted] to hub"),
    (f"token was {JWT}, sorry", "token was [redacted], sorry"),
    ("grant_type=password&password=hunter2&x=1", "grant_type=password&password=[redacted]&x=1"),
    ('{"client_secret": "s3 cret", "a": 1}', '{"client_secret": [redacted], "a": 1}'),
    (r"{\"client_secret\":\"s3cret\"}", r"{\"client_secret\":[redacted]}"),
    ("client_secret=abc", "client_secret=[redacted]"),
    ("Cookie: session=abc; csrf=def", "Cookie: [redacted]"),
    ("Set-Cookie: session=abc; Path=/\nHost: a", "Set-Cookie: [redacted]\nHost: a"),
    (
        "[(b'cookie', b'session=abc'), (b'host', b'a')]",
        "[(b'cookie', [redacted]), (b'host', b'a')]",
    ),
    ("Authorization: Basic dTpw", "Authorization: [redacted]"),
    ("?code=abc&state=1", "?code=[redacted]&state=1"),
    ("postgresql://hub:pa55@db/entrepot", "postgresql://hub:[redacted]@db/entrepot"),
    ("X-Amz-Signature=0a1b&x=2", "X-Amz-Signature=[redacted]&x=2"),
    ("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----", "[redacted]"),
]


@pytest.mark.parametrize(("text", "wanted"), SECRETS)
def test_secrets_are_taken_out(text: str, wanted: str) -> None:
    assert redact(text) == wanted
    assert redact(wanted) == redact(redact(text))


@pytest.mark.parametrize("human", [False, True])
@pytest.mark.parametrize(("text", "wanted"), SECRETS)
def test_no_way_into_a_record_leaks(text: str, wanted: str, human: bool) -> None:
    stream = Terminal() if human else io.StringIO()
    log.configure("DEBUG", stream)
    held = log.request_id.set(text)
    try:
        fail(text)
    except ValueError as fault:
        logger.exception(text)
        logger.warning("%s and %r", text, [text])
        logger.warning("x", extra={"url": text, "many": [text, {"deep": text}], "fault": fault})
        logger.warning("x", extra={text: 1}, stack_info=True)
    finally:
        log.request_id.reset(held)
    misfit = logging.makeLogRecord({"msg": "two %s %s", "args": (text,)})
    out = stream.getvalue() + (log.HumanFormatter() if human else log.JsonFormatter()).format(
        misfit
    )
    assert "[redacted]" in out
    secrets = (TOKEN, JWT, "hunter2", "s3", "=abc", "abc.def", "dTpw", "pa55", "0a1b", "MIIE")
    for secret in secrets:
        assert secret not in out


@pytest.mark.parametrize(
    "name", ["password", "client_secret", "refresh_token", "Cookie", "apiKey", "set-cookie"]
)
def test_a_field_named_as_a_secret_is_hidden_whole(stream: io.StringIO, name: str) -> None:
    logger.info("x", extra={name: "hush", "headers": {name: ["hush"]}})
    record = only_record(stream)
    assert record[name] == "[redacted]"
    assert record["headers"] == {name: "[redacted]"}


@pytest.mark.parametrize(
    "text",
    [
        "stored 3 objects in 1.5 s",
        "https://hub.example:8080/e-product/v1/entitlements?offset=1",
        "/download/x/dlx",
        "the cookie was missing",
        "someone@example.com signed in",
        "no bearer",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


@given(st.text(alphabet=st.characters(), max_size=60))
@settings(max_examples=150, deadline=None)
def test_no_value_can_forge_a_line(text: str) -> None:
    for stream in (io.StringIO(), Terminal()):
        log.configure("DEBUG", stream)
        logger.info(text, extra={"value": text, f"n{text}": text})
        out = stream.getvalue()
        assert len(out.splitlines()) == 1
        assert out[:-1].isprintable()


FORGED = 'x\n{"level":"info","event":"forged"}\r\x1b[2J\x85\u2028\u202e\x00'


def test_line_breaks_and_controls_stay_inside_their_value(stream: io.StringIO) -> None:
    logger.info("m", extra={"value": FORGED})
    assert only_record(stream)["value"] == FORGED


def test_a_terminal_gets_a_form_for_people() -> None:
    stream = Terminal()
    log.configure("INFO", stream)
    try:
        fail("bad\x1b[31m\n2026 ERROR forged")
    except ValueError:
        logger.exception("it failed", extra={"lease_id": 7})
    head, *below = stream.getvalue().splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} ERROR   entrepot\.test: it failed lease_id=7", head)
    assert below
    assert all(line.startswith("    ") and line.isprintable() for line in below)


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_no_value_can_lose_a_record(stream: io.StringIO) -> None:
    circle: list[object] = []
    circle.append(circle)
    values = [float("nan"), float("inf"), b"\xff", {1, 2}, Hostile(), circle, "\udc80", {1: {2: 3}}]
    for value in values:
        logger.info("kept", extra={"value": value, "level": "forged"})
    odd_key = logging.makeLogRecord({"msg": "password=x"})
    vars(odd_key).update({5: "five"})  # type: ignore[dict-item]
    assert json.loads(log.JsonFormatter().format(odd_key))["5"] == "five"
    records = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(records) == len(values)
    assert {record["level"] for record in records} == {"info"}
    assert records[0]["extra_level"] == "forged"


def test_a_message_that_does_not_fit_its_arguments_is_kept() -> None:
    # Formatted directly: pytest's own handler refuses such records.
    misfit = logging.makeLogRecord({"msg": "kept %d", "args": ("no number",)})
    assert json.loads(log.JsonFormatter().format(misfit))["event"] == "kept %d ('no number',)"
    for formatter in (log.JsonFormatter(), log.HumanFormatter()):
        hostile = logging.makeLogRecord({"msg": "%s", "args": (Hostile(),)})
        assert "%s" in formatter.format(hostile)
        hostile.msg, hostile.args = Hostile(), None
        assert "[RuntimeError while reading" in formatter.format(hostile)


def test_long_values_are_cut(stream: io.StringIO) -> None:
    try:
        fail("a" * 100_000 + "end")
    except ValueError:
        logger.exception("b" * 100_000, extra={"c": "c" * 100_000, "d": ["d" * 100_000]})
    assert len(stream.getvalue()) < 60_000
    record = only_record(stream)
    assert str(record["event"]).endswith("[91808 characters cut]")
    assert str(record["exception"]).endswith("end")


def test_redaction_is_linear() -> None:
    for piece in ("password", "://a:", "/dl/", 'cookie="', "eyJ", "bearer ", "-----BEGIN ", "\\"):
        start = time.process_time()
        redact("password=" + piece * (400_000 // len(piece)))
        assert time.process_time() - start < 2


def test_configure_again_replaces_and_filters(stream: io.StringIO) -> None:
    other = io.StringIO()
    log.configure("warning", other)
    logger.info("unheard")
    logger.warning("heard")
    assert stream.getvalue() == ""
    assert only_record(other)["event"] == "heard"
    with pytest.raises(ValueError, match="LOUD"):
        log.configure("loud", other)


def test_stderr_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    log.configure()
    logger.info("x")
    assert only_record(stream)["event"] == "x"


def test_warnings_become_records(stream: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        log.configure("INFO", stream)
        warnings.warn("old way", stacklevel=1)
    assert "old way" in str(only_record(stream)["event"])


def test_a_broken_stream_neither_raises_nor_leaks(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    log.configure("INFO", stream)
    stream.close()
    logger.info("password=hunter2")
    assert capsys.readouterr().err == ""


def test_a_record_is_cheap() -> None:
    """15 us a record on the machine it was written on; four times that is a change for worse."""
    with open("/dev/null", "w", buffering=1) as stream:  # noqa: PTH123
        log.configure("INFO", stream)
        extra = {"door": "links", "method": "GET", "status": 206, "ms": 1.25, "lease_id": 123456}
        costs = []
        for _ in range(5):
            start = time.process_time()
            for _ in range(1000):
                logger.info("request", extra=extra)
            costs.append((time.process_time() - start) / 1000)
    assert min(costs) < 60e-6
