"""A person and programs for tests of grants."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from entrepot.core import accounts
from entrepot.core.accounts import CodeRequest, Principal, SecretBox
from entrepot.core.accounts.providers import MembershipRule
from entrepot.db import Tx
from tests import factories
from tests.factories import NOW

BOX = SecretBox("s" * 32)
CALLBACK = "https://app.example.com/back"


@dataclass(frozen=True)
class World:
    """A person, the numbers of two programs, and what the person grants."""

    who: Principal
    web: int
    other: int

    def request(self, **changed: Any) -> CodeRequest:
        """What a code of the first program stands for."""
        values: dict[str, Any] = {
            "api_client_id": self.web,
            "user_id": self.who.id,
            "scopes": ("entitlements", "openid"),
            "redirect_uri": CALLBACK,
            "challenge": "c" * 43,
            "nonce": None,
            "signed_in_at": NOW,
        }
        return CodeRequest(**(values | changed))


def make_world(tx: Tx) -> World:
    """The world, in a transaction."""
    who = factories.add_user(tx, factories.add_organisation(tx))
    web, other = (
        register(tx, who.organisation_id, client_id, redirect_uris=[CALLBACK])
        for client_id in ("web", "other")
    )
    return World(who, web, other)


def register(
    tx: Tx, organisation_id: int, client_id: str, scopes: Sequence[str] = ("orders",), **values: Any
) -> int:
    """A program; returns its number."""
    accounts.add_client(
        tx,
        client_id=client_id,
        name=client_id,
        organisation_id=organisation_id,
        scopes=scopes,
        box=BOX,
        actor="operator",
        now=NOW,
        **values,
    )
    number: int = accounts.find_client(tx, client_id).id
    return number


def acme_provider(organisation: str | int) -> accounts.Provider:
    """An identity provider that brings whoever has an address of acme.example there."""
    rule = MembershipRule(organisation, (accounts.CUSTOMER,), domain="acme.example")
    return accounts.Provider(
        name="acme",
        title="Acme",
        issuer="https://login.acme.example",
        client_id="hub",
        client_secret="",
        scopes=("openid",),
        private_network=False,
        members=(rule,),
    )
