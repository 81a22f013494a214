"""Small doors that stood open: each of these was found by attacking a running hub."""

import os
import sqlite3
import stat
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import httpx
import pytest

from entrepot.assembly import Hub, Policy, prepare
from entrepot.core import accounts
from entrepot.core.accounts.signing_in import CLIENT_ADDRESS_GUESSES_MAX, CLIENT_GUESSES_MAX
from entrepot.errors import TooMany
from entrepot.settings import from_env
from entrepot.web.http.callers import caller_of
from entrepot.web.server import Server, build_app
from tests import factories

pytestmark = pytest.mark.anyio
URL = "http://127.0.0.1:8080"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def open_umask() -> Any:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
def test_the_embedded_database_and_its_log_are_the_owners_alone(tmp_path: Path) -> None:
    """It holds password hashes and names; DATA may be a folder that others can enter."""
    tmp_path.chmod(0o755)
    settings = from_env(
        {
            "ENTREPOT_DATA": str(tmp_path),
            "ENTREPOT_SECRET_KEY": "T3st-0nly-secret.T3st-0nly-secret.42",
            "ENTREPOT_RESERVE_BYTES": "1 MiB",
        },
        cores=1,
    )
    prepare(settings)
    database = sqlite3.connect(tmp_path / "entrepot.sqlite3")
    try:
        database.execute("CREATE TABLE more (x)")  # so that there is a log
        found = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert {"entrepot.sqlite3", "entrepot.sqlite3-wal"} <= {path.name for path in found}
        # Stored files lie in folders that are closed.
        closed = [path for path in found if tmp_path / "blobs" not in path.parents]
        assert [path for path in closed if stat.S_IMODE(path.stat().st_mode) & 0o077] == []
        assert stat.S_IMODE((tmp_path / "blobs").stat().st_mode) == 0o700
    finally:
        database.close()


async def test_a_proxy_on_this_machine_does_not_hand_out_metrics(hub: Hub) -> None:
    """One that nobody declared looks like loopback, whoever it asks for."""
    transport = httpx.ASGITransport(app=build_app(hub), client=("127.0.0.1", 40000))
    async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
        assert (await client.get("/metrics")).status_code == 200
        for field in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"):
            for value in ("198.51.100.7", "127.0.0.1"):
                answer = await client.get("/metrics", headers={field: value})
                assert answer.status_code == 403, field


@pytest.mark.parametrize(
    ("peer", "fields", "address", "country"),
    [
        ("10.0.0.1", [("x-forwarded-for", "6.6.6.6, 203.0.113.5")], "203.0.113.5", ""),
        ("10.0.0.1", [("x-forwarded-for", "6.6.6.6, 203.0.113.5, 10.0.0.2")], "203.0.113.5", ""),
        ("10.0.0.1", [("x-forwarded-for", "203.0.113.5, junk")], "10.0.0.1", ""),
        ("10.0.0.1", [("x-country", "fr")], "10.0.0.1", "FR"),
        ("10.0.0.1", [("x-country", "FR"), ("x-country", "DE")], "10.0.0.1", "DE"),
        ("10.0.0.1", [("x-country", "FR, DE")], "10.0.0.1", ""),
        ("10.0.0.1", [("x-country", "XX")], "10.0.0.1", ""),
        ("6.6.6.6", [("x-forwarded-for", "127.0.0.1"), ("x-country", "FR")], "6.6.6.6", ""),
        ("", [("x-forwarded-for", "127.0.0.1"), ("x-country", "FR")], "", ""),
    ],
)
def test_address_and_country_are_a_trusted_proxy_s_word_or_none(
    peer: str, fields: list[tuple[str, str]], address: str, country: str
) -> None:
    behind = Policy(
        public_url=URL,
        path_prefix="",
        allowed_hosts=frozenset({"127.0.0.1"}),
        trusted_proxies=(IPv4Network("10.0.0.0/8"),),
        country_header="X-Country",
        embargoed=(),
        link_seconds=600,
        token_seconds=3600,
        order_days=30,
        audit_days=0,
        password_grant=False,
        identity_providers=(),
        body_bytes_max=2**20,
        upload_bytes_max=None,
        outbound_private=False,
        requests_per_minute=600,
        requests_burst=200,
        page_size_max=1000,
        sandbox=False,
    )
    headers = [(name.encode(), value.encode()) for name, value in fields]
    caller = caller_of({"headers": headers, "client": (peer, 1)}, behind)
    assert (caller.address, caller.country) == (address, country)
    alone = caller_of(
        {"headers": headers, "client": (peer, 1)}, replace(behind, trusted_proxies=())
    )
    assert (alone.address, alone.country) == (peer, "")


def test_made_up_client_ids_do_not_fill_the_table_of_guesses(hub: Hub) -> None:
    def guess(client_id: str, address: str) -> None:
        with hub.database.write() as tx:
            now = hub.now()
            accounts.refuse_client_guessing(tx, client_id=client_id, address=address, now=now)
            accounts.count_client_guess(tx, client_id=client_id, address=address, now=now)

    for number in range(CLIENT_ADDRESS_GUESSES_MAX):
        guess(f"made-up-{number}", "2001:db8::1")
    with pytest.raises(TooMany):
        guess("another", "2001:db8::ffff")  # the same /64
    for _ in range(CLIENT_GUESSES_MAX):
        guess("another", "2001:db8:1::1")
    with pytest.raises(TooMany):
        guess("another", "2001:db8:1::1")


async def test_a_client_that_leaves_in_mid_body_is_no_defect_of_ours(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    """A stranger must not be able to fill the log with defects and set off the alarm on 5xx."""
    with hub.database.write() as tx:
        who = factories.add_user(tx, factories.add_organisation(tx), roles=["operator"])
        token = accounts.issue_token(tx, hub.keys.current, who, issuer=URL, now=hub.now()).value
    fields = {
        b"host": b"127.0.0.1:8080",
        b"origin": URL.encode(),
        b"content-type": b"application/x-www-form-urlencoded",
        b"authorization": b"Bearer " + token.encode(),
    }
    app = build_app(hub)
    for path in ("/oauth/token", "/sign-in", "/api/admin/v1/products"):
        assert await _statuses_for_half_a_body(app, path, list(fields.items())) == [400], path
    assert "defect" not in caplog.text
    assert not [record for record in caplog.records if record.exc_info]


async def _statuses_for_half_a_body(
    app: Server, path: str, headers: list[tuple[bytes, bytes]]
) -> list[int]:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8080),
    }
    coming = [{"type": "http.request", "body": b"abc", "more_body": True}]
    sent: list[Any] = []

    async def receive() -> Any:
        return coming.pop() if coming else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return [message["status"] for message in sent if "status" in message]
