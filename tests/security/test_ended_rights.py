"""Rights that end while somebody is still using them: what began before makes nothing after.

A session, a token or a password is looked at when a request begins, and a body may take its time
after that; a role, a password or an account may change while something of it is left lying about.
"""

import asyncio
import contextlib
import json
import threading
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlencode

import httpx
import pytest
from argon2 import PasswordHasher
from sqlalchemy import func, select, update

from entrepot.assembly import Hub, Keys
from entrepot.core import accounts, webhooks
from entrepot.core.accounts import (
    COMMAND_CLIENT_ID,
    CUSTOMER,
    MSAL_CLIENT_ID,
    OPERATOR,
    ORGANISATION_ADMIN,
    PUBLISHER,
    PasswordHash,
    Principal,
    passwords,
)
from entrepot.core.accounts.grant_tables import (
    authorization_codes,
    consents,
    device_codes,
    personal_tokens,
    token_families,
)
from entrepot.core.accounts.tables import keys, sessions, users
from entrepot.core.catalogue.tables import assets, product_downloads
from entrepot.core.events import Wanted, list_events
from entrepot.core.webhooks.makers import still_hears_everything
from entrepot.core.webhooks.tables import webhooks as webhook_table
from entrepot.db import Database, Tx
from entrepot.errors import Denied, Gone, Unavailable
from entrepot.web.admin_api._actions import Call
from entrepot.web.admin_api._events import parse_events, stream_events
from entrepot.web.admin_api._query import Slice
from entrepot.web.pages.visitors import Visitor
from entrepot.web.server import Server, build_app
from tests import factories
from tests.core.grants_world import BOX, acme_provider
from tests.core.test_invited_passwords import HASH, invited, join, open_up, still_open
from tests.doors.oauth_world import CALLBACK, CHALLENGE, oauth_world
from tests.factories import NOW

URL = "http://127.0.0.1:8080"
ADMIN = "/api/admin/v1"
FROM_HERE = {"origin": URL, "content-type": "application/x-www-form-urlencoded"}
_MADE = (personal_tokens, token_families, authorization_codes, consents, users, webhook_table)


@dataclass
class Gate:
    """The application, asked by somebody whose body comes in two parts."""

    hub: Hub
    app: Server
    loop: asyncio.AbstractEventLoop

    def person(self, *roles: str) -> Principal:
        with self.hub.database.write() as tx:
            return factories.add_user(tx, factories.add_organisation(tx), roles=roles)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        meanwhile: Callable[[Tx], object] | None = None,
    ) -> httpx.Response:
        """The answer; `meanwhile` is done when all of the body but its end has come."""

        async def pieces() -> AsyncIterator[bytes]:
            yield body[:-1]
            if meanwhile is not None:
                with self.hub.database.write() as tx:
                    meanwhile(tx)
                self.app._edge.forget_tokens()  # as after five seconds
            yield body[-1:]

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
                return await client.request(method, path, content=pieces(), headers=headers)

        return self.loop.run_until_complete(send())

    def count(self, *tables: Any) -> list[int]:
        with self.hub.database.read() as tx:
            return [
                tx.execute(select(func.count()).select_from(each)).scalar_one() for each in tables
            ]


@contextlib.contextmanager
def opened(hub: Hub) -> Iterator[Gate]:
    app = build_app(hub)
    loop = asyncio.new_event_loop()
    yield Gate(hub, app, loop)
    loop.close()
    app._edge.close()


@pytest.fixture
def gate(hub: Hub) -> Iterator[Gate]:
    with opened(hub) as made:
        yield made


def test_a_form_that_takes_its_time_makes_nothing_once_the_session_has_ended(gate: Gate) -> None:
    """Whoever stole a session cannot keep a form open across *Sign out everywhere*."""
    hub, who = gate.hub, gate.person(CUSTOMER)
    with hub.database.write() as tx:
        accounts.ensure_clients(tx, password_grant=False, now=hub.now())
        accounts.add_client(
            tx,
            client_id="web-shop",
            name="Shop",
            organisation_id=who.organisation_id,
            scopes=["entitlements"],
            redirect_uris=[CALLBACK],
            actor="operator",
            now=hub.now(),
        )
        number = accounts.find_client(tx, COMMAND_CLIENT_ID).id
        device = accounts.issue_device(
            tx, api_client_id=number, scopes=["entitlements"], now=hub.now()
        )
    request = urlencode(
        {
            "response_type": "code",
            "client_id": "web-shop",
            "redirect_uri": CALLBACK,
            "scope": "entitlements",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
    )
    forms: dict[str, dict[str, str]] = {
        "/token": {},
        "/personal-tokens": {"name": "ci", "days": "366", "scope.entitlements": "yes"},
        "/oauth/authorize": {"request": request, "decision": "allow"},
        "/device": {"user_code": device.user_code, "decision": "allow"},
    }
    before = gate.count(*_MADE)
    for late in (True, False):
        for path, fields in forms.items():
            with hub.database.write() as tx:
                session = accounts.open_session(tx, who, now=hub.now())
            form = {"form_token": Visitor(who, session).form_token, **fields}
            headers = FROM_HERE | {"cookie": f"entrepot={session}"}
            answer = gate.ask(
                "POST",
                path,
                urlencode(form).encode(),
                headers,
                (lambda tx: accounts.sign_out_everywhere(tx, who.id, now=hub.now()))
                if late
                else None,
            )
            if late:
                assert answer.status_code == 303, path
                assert answer.headers["location"].startswith("/sign-in?next="), path
        if late:
            assert gate.count(*_MADE) == before
            with hub.database.read() as tx:
                assert tx.execute(select(device_codes.c.decided_at)).scalar_one() is None
    # The same forms without that: each makes what it is for.
    made = [after - then for after, then in zip(gate.count(*_MADE), before, strict=True)]
    assert made == [1, 1, 1, 1, 0, 0]
    with hub.database.read() as tx:
        assert tx.execute(select(device_codes.c.approved)).scalar_one()


def test_a_session_that_ends_between_two_transactions_makes_no_token(gate: Gate) -> None:
    hub, who = gate.hub, gate.person(CUSTOMER)
    with hub.database.write() as tx:
        session = accounts.open_session(tx, who, now=hub.now())
        assert accounts.hold_session(tx, session, now=hub.now())
        accounts.sign_out_everywhere(tx, who.id, now=hub.now())
        assert not accounts.hold_session(tx, session, now=hub.now())


def _requests(gate: Gate) -> dict[str, tuple[str, str, bytes, dict[str, str]]]:
    """What somebody with a stolen token of a publisher and operator would leave open."""
    with gate.hub.database.write() as tx:
        other = factories.add_user(tx, factories.add_organisation(tx))
        product = factories.add_product(tx)
        download = factories.add_product_download(tx, product)
    json = {"content-type": "application/json"}
    data_uri = b'{"data": {"file": "data:text/plain;base64,YQ=="}}'
    part = b'content-disposition: form-data; name="file"; filename="a.txt"'
    parts = b"--x\r\n%s\r\n\r\na\r\n--x--\r\n" % part
    form = {"content-type": "multipart/form-data; boundary=x"}
    shown = f"/api/v2/products/{product}/downloads.json"
    hook = b'{"data": {"events": ["product/*"], "url": "https://1.1.1.1/hook"}}'
    owner = str(other.organisation_id).encode()
    user = b'{"email": "x@example.com", "given_name": "X", "organisation": "%s"}' % owner
    order = b'{"order": {"individual": {"9": {}}}}'
    token = b'{"name": "x", "scopes": ["entitlements"], "days": 366}'
    return {
        "a personal token": ("POST", f"{ADMIN}/users/{other.id}/personal-tokens", token, json),
        "a user": ("POST", f"{ADMIN}/users", user, json),
        "an asset": ("POST", f"{ADMIN}/assets?file_name=a.txt&product={product}", b"ab", {}),
        "a download by Data URI": ("POST", shown, data_uri, json),
        "a download by form": ("POST", shown, parts, form),
        "a title": (
            "PUT",
            f"/api/v2/products/{product}/downloads/{download}.json",
            b'{"data": {"title": "Mine"}}',
            json,
        ),
        "a webhook": ("POST", "/api/v2/webhooks.json", hook, json),
        "an order": ("POST", "/api/downloadorders", order, json),  # of nothing that there is
    }


def test_a_body_that_takes_its_time_makes_nothing_once_the_token_has_ended(gate: Gate) -> None:
    hub, who = gate.hub, gate.person(CUSTOMER, PUBLISHER, OPERATOR)
    requests = _requests(gate)
    kinds = (*_MADE, assets, product_downloads)

    def bearer(revoked: list[str]) -> dict[str, str]:
        with hub.database.write() as tx:
            family = accounts.begin_own_family(
                tx, who.id, accounts.SCOPES, expires_at=hub.now(), now=hub.now()
            )
            revoked.append(family)
            token = accounts.issue_token(
                tx,
                hub.keys.current,
                who,
                issuer=hub.policy.public_url,
                family=family,
                now=hub.now(),
            )
        return {"authorization": f"Bearer {token.value}"}

    for name, (method, path, body, headers) in requests.items():
        families: list[str] = []
        sent = headers | bearer(families)
        before = gate.count(*kinds)
        late = gate.ask(
            method,
            path,
            body,
            sent,
            lambda tx, ended=families: accounts.revoke_family(  # type: ignore[misc]
                tx, ended[0], why="asked", now=hub.now()
            ),
        )
        assert late.status_code == 401, (name, late.text)
        assert gate.count(*kinds) == before, name
        demoted = gate.ask(
            method,
            path,
            body,
            headers | bearer(families),
            lambda tx: accounts.set_roles(tx, who.id, [CUSTOMER], actor="operator", now=hub.now()),
        )
        with hub.database.write() as tx:
            accounts.set_roles(
                tx, who.id, [CUSTOMER, PUBLISHER, OPERATOR], actor="operator", now=hub.now()
            )
        in_time = gate.ask(method, path, body, headers | bearer(families))
        if name == "an order":  # for which no role is needed
            assert demoted.status_code == in_time.status_code == 400, in_time.text
        else:
            assert demoted.status_code == 403, (name, demoted.text)
            assert in_time.status_code < 300, (name, in_time.text)


@pytest.mark.parametrize("name", ["an asset", "a download by form"])
def test_a_file_may_take_longer_than_the_token_that_sends_it_lives(hub: Hub, name: str) -> None:
    """A large one takes hours, a token lives for one; but what ends a token ends that as well."""
    moment = [hub.now()]
    ring = Keys(hub.database, hub.keys.box, lambda: moment[0])
    with opened(replace(hub, now=lambda: moment[0], keys=ring)) as gate:
        who = gate.person(CUSTOMER, PUBLISHER, OPERATOR)
        method, path, body, headers = _requests(gate)[name]

        def send(later: timedelta, end: Callable[[Tx, str, str], object] | None) -> int:
            family = None
            with hub.database.write() as tx:
                ends = moment[0] + timedelta(hours=1)
                if end is not _end_token:
                    family = accounts.begin_own_family(
                        tx, who.id, accounts.SCOPES, expires_at=ends, now=moment[0]
                    )
                token = accounts.issue_token(
                    tx,
                    hub.keys.current,
                    who,
                    issuer=hub.policy.public_url,
                    family=family,
                    now=moment[0],
                ).value

            def meanwhile(tx: Tx) -> None:
                if end is not None:
                    end(tx, family or "", token)
                moment[0] += later
                accounts.purge_grants(tx, take=100, now=moment[0])

            sent = headers | {"authorization": f"Bearer {token}"}
            return gate.ask(method, path, body, sent, meanwhile).status_code

        assert send(timedelta(hours=3), _end_family) == 401
        assert send(timedelta(hours=3), _end_token) == 401
        assert send(timedelta(days=2), None) == 401, "nothing is known of it any more"
        assert gate.count(assets, product_downloads) == [0, 1]
        assert send(timedelta(hours=3), None) == 201

        def retire_key(tx: Tx, _family: str, _token: str) -> None:
            tx.execute(update(keys).values(retires_at=moment[0] + timedelta(hours=2)))
            ring._current = None  # as after a few seconds

        assert send(timedelta(hours=3), retire_key) == 201, "its key was good when it began"
        with pytest.raises(Unavailable):  # and is good no more
            ring.refresh().signing_token_key(moment[0])


def _end_family(tx: Tx, family: str, token: str) -> None:
    accounts.revoke_family(tx, family, why="asked", now=NOW)


def _end_token(tx: Tx, family: str, token: str) -> None:
    claims = json.loads(urlsafe_b64decode(token.split(".")[1] + "=="))
    accounts.revoke_access_token(
        tx,
        claims["jti"],
        expires_at=datetime.fromtimestamp(claims["exp"], UTC),
        actor="operator",
        now=NOW,
    )


class _Meanwhile(PasswordHasher):
    """Compares quickly, but lets something else happen before it is done."""

    def __init__(self, happens: Callable[[], object]) -> None:
        super().__init__(1, 64, 1)
        self.happens: Callable[[], object] | None = happens

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002
        if self.happens is not None:
            happens, self.happens = self.happens, None
            happens()
        return super().verify(hash, password)


@pytest.mark.parametrize("way", ["page", "grant"])
def test_a_password_that_is_replaced_while_it_is_compared_opens_nothing(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Comparing takes a while, in which whoever signs in again and again always is."""
    quick = PasswordHasher(1, 64, 1)
    old, new = "the old and well known one", "a new one that is a secret"
    with hub.database.write() as tx:
        who = factories.add_user(tx, factories.add_organisation(tx), email="ada@example.com")
        accounts.ensure_clients(tx, password_grant=True, now=hub.now())
        accounts.set_password(
            tx, who.id, PasswordHash(quick.hash(old)), actor="operator", now=hub.now()
        )

    def replaced() -> None:
        with hub.database.write() as tx:
            hashed = PasswordHash(quick.hash(new))
            accounts.set_password(tx, who.id, hashed, actor="operator", now=hub.now())

    hasher = _Meanwhile(replaced)
    monkeypatch.setattr(passwords, "_hasher", lambda: hasher)
    told = {"email": "ada@example.com", "password": old}
    path = "/sign-in"
    if way == "grant":
        path = "/oauth/token"
        told = {"username": "ada@example.com", "password": old}
        told |= {"grant_type": "password", "client_id": MSAL_CLIENT_ID}
    with opened(replace(hub, policy=replace(hub.policy, password_grant=True))) as gate:
        answer = gate.ask("POST", path, urlencode(told).encode(), FROM_HERE)
        assert answer.status_code == (401 if way == "page" else 400), answer.text
        assert "set-cookie" not in answer.headers
        assert gate.count(sessions, token_families) == [0, 0]
        told["password"] = new
        opens = gate.ask("POST", path, urlencode(told).encode(), FROM_HERE)
        assert opens.status_code == (303 if way == "page" else 200), opens.text


def test_what_an_invited_password_made_ends_when_an_operator_sets_another(tx: Tx) -> None:
    """Else the administrator who kept the link would act with the roles that come after it."""
    _, ada, secret = invited(tx)
    accounts.accept_invitation(tx, secret, HASH, now=NOW)
    open_up(tx, ada)
    accounts.set_password(tx, ada.id, HASH, actor="operator", now=NOW)
    accounts.set_roles(tx, ada.id, (PUBLISHER,), actor="operator", now=NOW)
    assert still_open(tx, ada) == (0, 0, 0)
    # A person's own personal tokens stay when an operator sets a password for the second time.
    open_up(tx, ada)
    accounts.set_password(tx, ada.id, HASH, actor="operator", now=NOW)
    assert still_open(tx, ada) == (0, 0, 1)


@pytest.mark.parametrize("fate", ["disabled", "demoted"])
def test_nobody_comes_back_by_an_invitation_of_their_own(tx: Tx, fate: str) -> None:
    admin, _, secret = invited(tx)
    assert accounts.find_invitation(tx, secret, now=NOW)
    if fate == "disabled":
        accounts.disable_user(tx, admin.id, actor="operator", now=NOW)
    else:
        accounts.set_roles(tx, admin.id, (CUSTOMER,), actor="operator", now=NOW)
    with pytest.raises(Gone):
        accounts.accept_invitation(tx, secret, HASH, now=NOW)


def test_who_is_promoted_at_this_moment_is_no_longer_the_administrators(
    database: Database,
) -> None:
    with database.write() as tx:
        organisation = factories.add_organisation(tx)
        admin = factories.add_user(tx, organisation, roles=(CUSTOMER, ORGANISATION_ADMIN))
        ada = factories.add_user(tx, organisation)
    refused: list[str] = []

    def shut_out() -> None:
        try:
            with database.write() as tx:
                accounts.set_member_disabled(tx, admin, ada.id, disabled=True, now=NOW)
        except Denied as error:
            refused.append(error.code)

    other = threading.Thread(target=shut_out)
    with database.write() as tx:
        accounts.set_roles(tx, ada.id, (OPERATOR,), actor="operator", now=NOW)
        other.start()
        other.join(0.3)  # it has looked by now, or waits
    other.join()
    assert refused == ["member-protected"]
    with database.read() as tx:
        assert accounts.load_user(tx, ada.id).roles == {OPERATOR}


def test_a_provider_signs_nobody_in_who_became_publisher_or_operator(tx: Tx) -> None:
    """Whoever runs the provider can be any of its people."""
    organisation = factories.add_organisation(tx, "Acme")
    ada = join(tx)
    assert ada.organisation_id == organisation
    open_up(tx, ada)
    accounts.set_roles(tx, ada.id, (CUSTOMER, ORGANISATION_ADMIN), actor="operator", now=NOW)
    assert join(tx).id == ada.id
    assert still_open(tx, ada) == (1, 1, 1)
    accounts.set_roles(tx, ada.id, (CUSTOMER, PUBLISHER), actor="operator", now=NOW)
    assert still_open(tx, ada) == (0, 0, 0)
    with pytest.raises(Denied, match="publishes or runs"):
        join(tx)
    # What she opens by a password of her own stays, whatever roles she gets beside.
    open_up(tx, ada)
    accounts.set_roles(tx, ada.id, (PUBLISHER, OPERATOR), actor="operator", now=NOW)
    assert still_open(tx, ada) == (1, 1, 1)
    accounts.set_roles(tx, ada.id, (CUSTOMER,), actor="operator", now=NOW)
    assert join(tx).id == ada.id
    assert acme_provider("Acme").members


def test_who_sends_a_webhook_of_everything_elsewhere_is_asked_for_from_then_on(tx: Tx) -> None:
    """Else the address that a former publisher has set would go on being told of everything."""
    organisation = factories.add_organisation(tx)
    mallory = factories.add_user(tx, organisation, roles=(PUBLISHER,))
    spec = webhooks.WebhookSpec("https://receiver.example.com/", ("*",))
    made = webhooks.add_webhook_for(
        tx, BOX, organisation, spec, everything=True, actor="operator", now=NOW
    )

    def asked_for() -> tuple[str, bool]:
        row = webhooks.find_webhook(tx, made.id)
        return row.created_by, still_hears_everything(tx, row.created_by, row.events)

    webhooks.change_webhook(
        tx, made.id, who=mallory, description="Mine", actor=mallory.label, now=NOW
    )
    assert asked_for() == ("operator", True)
    webhooks.change_webhook(
        tx, made.id, who=mallory, url="https://mallory.example/", actor=mallory.label, now=NOW
    )
    assert asked_for() == (mallory.label, True)
    accounts.set_roles(tx, mallory.id, (CUSTOMER,), actor="operator", now=NOW)
    assert asked_for() == (mallory.label, False)


def test_nobody_is_told_of_scopes_that_a_role_has_taken_along(hub: Hub) -> None:
    with oauth_world(hub, roles=(CUSTOMER, PUBLISHER)) as world:
        world.add_client("both", scopes=["entitlements", "publish"], redirect_uris=[CALLBACK])
        with hub.database.write() as tx:
            new = accounts.rotate_client_secret(
                tx, "both", box=hub.keys.box, actor="operator", now=hub.now()
            )
        world.enter()
        code = world.code(client_id="both", scope="entitlements publish")
        given = world.redeem(code, new).json()
        assert given["scope"] == "entitlements publish"
        with hub.database.write() as tx:
            accounts.set_roles(tx, world.who.id, [CUSTOMER], actor="operator", now=hub.now())
        for kind in ("access_token", "refresh_token"):
            told = world.ask(new, path="/oauth/introspect", token=given[kind]).json()
            assert (told["active"], told["scope"]) == (True, "entitlements"), kind
        assert world.refresh(given["refresh_token"], new).json()["scope"] == "entitlements"


def test_a_slow_reader_of_the_log_hears_of_nothing_that_comes_after(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is always behind would hear of everything, with a token that has ended."""
    monkeypatch.setattr("entrepot.core.events.reading.WALK_TAKE", 1)
    monkeypatch.setattr("entrepot.core.events.exporting.PORTION", 1)
    hub, who = gate.hub, gate.person(OPERATOR)
    call = Call(who, hub.now(), {}, {"format": "jsonl"}, Slice(0, 1), None)
    with hub.database.read() as tx:
        asked = parse_events(tx, call)
        told = len(list_events(tx, Wanted(), take=1000))

    async def read() -> list[str | bytes]:
        lines = []
        pieces = stream_events(gate.app._edge, asked).iterator
        assert isinstance(pieces, AsyncIterator)
        async for piece in pieces:
            lines.append(piece)
            gate.person(CUSTOMER)  # is an event each time
        return lines

    lines = gate.loop.run_until_complete(read())
    assert len(lines) == told > 1
    with hub.database.read() as tx:
        assert len(list_events(tx, Wanted(), take=1000)) > told


def test_a_data_uri_is_no_way_around_the_operators_limit(hub: Hub) -> None:
    with opened(replace(hub, policy=replace(hub.policy, upload_bytes_max=3))) as gate:
        who = gate.person(PUBLISHER)
        with hub.database.write() as tx:
            product = factories.add_product(tx)
            token = accounts.issue_token(
                tx, hub.keys.current, who, issuer=hub.policy.public_url, now=hub.now()
            )
        headers = {"authorization": f"Bearer {token.value}", "content-type": "application/json"}
        for data, status in ((b"YWJj", 201), (b"YWJjZA==", 422)):
            body = b'{"data": {"file": "data:text/plain;base64,%s"}}' % data
            answer = gate.ask("POST", f"/api/v2/products/{product}/downloads.json", body, headers)
            assert answer.status_code == status, answer.text
