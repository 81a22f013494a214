"""One grant, redeemed by many at once over HTTP and two processes: one of them gets tokens."""

import base64
import hashlib
from collections.abc import Callable
from uuid import uuid4

import pytest

from entrepot.core import accounts
from entrepot.core.accounts import CodeRequest, Granted
from tests.databases import postgresql_server  # noqa: F401 - a fixture
from tests.system.hubs import Answer
from tests.system.racing import (  # noqa: F401 - fixtures
    Ring,
    error_of,
    ring,
    together,
)

TOKEN = "/oauth/token"
LISTED = "/e-product-entitlement-customer/v1/entitlements"
CALLBACK = "https://app.example.com/callback"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=")
SCOPES = ("entitlements",)
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


class Program:
    """A person and a program of their own at the hub, so that no other test is in the way."""

    def __init__(self, ring: Ring) -> None:  # noqa: F811 - the fixture's value
        self.ring, self.hub = ring, ring.inside
        self.name = f"racer-{uuid4().hex[:8]}"
        now = self.hub.now()
        with self.hub.database.write() as tx:
            organisation = accounts.add_organisation(
                tx, name=self.name, country="NO", actor="test", now=now
            )
            self.person = accounts.add_user(
                tx,
                email=f"{self.name}@example.com",
                given_name="Ada",
                family_name="",
                organisation_id=organisation,
                password=None,
                actor="test",
                now=now,
            )
            made = accounts.add_client(
                tx,
                client_id=self.name,
                name=self.name,
                organisation_id=organisation,
                scopes=SCOPES,
                grants=["authorization_code", "refresh_token", DEVICE],
                redirect_uris=[CALLBACK],
                actor="test",
                now=now,
            )
            self.number = accounts.find_client(tx, self.name).id
        self.client = (made.client_id, made.secret)

    def race(self, count: int, **fields: str) -> list[Answer]:
        """So many requests for the same at once; the one that got something comes first."""
        verbs: list[Callable[[], Answer]] = [lambda: self.ask(**fields)] * count
        answers = sorted(together(verbs), key=lambda answer: answer.status)
        assert [answer.status for answer in answers] == [200] + [400] * (count - 1)
        assert {error_of(answer) for answer in answers[1:]} == {"invalid_grant"}
        return answers

    def ask(self, **fields: str) -> Answer:
        return self.ring.post(TOKEN, client=self.client, **fields)

    def use(self, winner: Answer) -> int:
        """What comes of the access token in that answer."""
        return self.ring.hub.ask(LISTED, token=winner.json()["access_token"]).status

    def families(self) -> list[str | None]:
        """Why each family of the program has ended; None: it lives."""
        query = f"SELECT revoked_why FROM token_families WHERE api_client_id = {self.number}"
        return [why for (why,) in self.ring.rows(query)]


@pytest.fixture
def program(ring: Ring) -> Program:  # noqa: F811
    return Program(ring)


def test_ten_refreshes_of_one_token_give_one_pair(program: Program) -> None:
    hub, now = program.hub, program.hub.now()
    granted = Granted(program.number, program.person, SCOPES, accounts.new_family())
    with hub.database.write() as tx:
        accounts.begin_family(tx, granted, now=now)
        token = accounts.add_refresh_token(tx, granted.family, SCOPES, now=now)
    fields = {"grant_type": "refresh_token", "refresh_token": token}
    winner = program.race(10, **fields)[0]
    query = f"SELECT used_at FROM refresh_tokens WHERE family_id = '{granted.family}'"
    used = [at for (at,) in program.ring.rows(query)]
    assert len(used) == 2
    assert used.count(None) == 1
    # Who came in before the exchange raced only itself; who came after held a stolen token.
    [why] = program.families()
    assert why in (None, "reused")
    assert program.use(winner) == (200 if why is None else 401)
    # Once more, when all is over: that ends whatever lives.
    assert error_of(program.ask(**fields)) == "invalid_grant"
    assert program.families() == ["reused"]
    following = {"grant_type": "refresh_token", "refresh_token": winner.json()["refresh_token"]}
    assert error_of(program.ask(**following)) == "invalid_grant"


def test_a_device_code_is_redeemed_once(program: Program) -> None:
    hub, now = program.hub, program.hub.now()
    with hub.database.write() as tx:
        made = accounts.issue_device(tx, api_client_id=program.number, scopes=SCOPES, now=now)
        code = accounts.read_user_code(made.user_code)
        assert code is not None
        assert accounts.decide_device(
            tx, code, user_id=program.person, scopes=SCOPES, approved=True, now=now
        )
    fields = {"grant_type": DEVICE, "device_code": made.device_code}
    winner = program.race(2, **fields)[0]
    [why] = program.families()
    assert why in (None, "replayed")
    assert program.use(winner) == (200 if why is None else 401)
    assert error_of(program.ask(**fields)) == "invalid_grant"
    assert program.families() == ["replayed"]


def test_an_authorization_code_that_is_used_twice_is_good_for_nothing(program: Program) -> None:
    hub, now = program.hub, program.hub.now()
    asked = CodeRequest(
        api_client_id=program.number,
        user_id=program.person,
        scopes=SCOPES,
        redirect_uri=CALLBACK,
        challenge=CHALLENGE.decode(),
        nonce=None,
        signed_in_at=now,
    )
    with hub.database.write() as tx:
        code = accounts.issue_code(tx, asked, now=now)
    fields = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }
    winner = program.race(2, **fields)[0]
    assert program.families() == ["replayed"]
    assert program.use(winner) == 401
