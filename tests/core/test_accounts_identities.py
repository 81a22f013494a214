"""Who is let in on a provider's word: the file, the rules, and accounts that are not its own."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from entrepot.core.accounts import (
    CUSTOMER,
    OPERATOR,
    ORGANISATION_ADMIN,
    Principal,
    Provider,
    Vouched,
    admit,
    disable_user,
    load_providers,
    read_vouched,
)
from entrepot.core.accounts.grant_tables import identities
from entrepot.core.events.tables import events
from entrepot.db import Tx
from entrepot.errors import Denied, EntrepotError, Invalid, Unauthenticated, Unavailable
from tests import factories
from tests.factories import NOW

FILE = """
[[provider]]
name = "acme"
title = "Acme"
issuer = "https://login.acme.example/realm"
client_id = "entrepot"
client_secret_file = "{secret}"

[[provider.members]]
domain = "ACME.example"
organisation = "Acme"

[[provider.members]]
claim = "groups"
value = "hub-admins"
organisation = "Acme"
roles = ["organisation-admin", "customer"]

[[provider]]
name = "beta-2"
title = "Beta"
issuer = "http://127.0.0.1:9/beta"
private_network = true
client_id = "hub"
scopes = ["openid", "groups"]
members = [{{ claim = "hd", value = "beta.example", organisation = 7 }}]
"""


@pytest.fixture
def provider(tmp_path: Path) -> Provider:
    secret = tmp_path / "acme.secret"
    secret.touch(0o600)
    secret.write_text("s3cret\n")
    path = tmp_path / "providers.toml"
    path.write_text(FILE.format(secret=secret))
    acme, beta = load_providers(path)
    assert (acme.client_secret, acme.scopes) == ("s3cret", ("openid", "email", "profile"))
    assert (beta.client_secret, beta.private_network, beta.members[0].organisation) == ("", True, 7)
    assert "s3cret" not in repr(acme)
    return acme


def vouched(**said: Any) -> Vouched:
    claims = {"sub": "ada-7", "email": "Ada@Acme.example", "email_verified": True}
    return read_vouched({k: v for k, v in (claims | said).items() if v is not None})


def refusal(tx: Tx, provider: Provider, who: Vouched) -> str:
    before = tx.execute(select(identities)).all()
    with pytest.raises(EntrepotError) as caught:
        admit(tx, provider, who, now=NOW)
    assert tx.execute(select(identities)).all() == before
    assert caught.value.remedy
    return caught.value.code


def test_a_new_person_gets_an_account_in_the_organisation_of_the_first_rule(
    tx: Tx, provider: Provider
) -> None:
    acme = factories.add_organisation(tx, "Acme")
    ada = admit(tx, provider, vouched(given_name="Ada", groups=["hub-admins"]), now=NOW)
    assert (ada.organisation_id, set(ada.roles), ada.display_name) == (acme, {CUSTOMER}, "Ada")
    assert admit(tx, provider, vouched(email="other@acme.example"), now=NOW) == ada
    admin = vouched(sub="b", email="ben@elsewhere.example", groups=["x", "hub-admins"])
    ben = admit(tx, provider, admin, now=NOW)
    assert ben.roles == {CUSTOMER, ORGANISATION_ADMIN}
    told = tx.execute(select(events.c.type, events.c.data).where(events.c.type.like("ident%")))
    assert [(row.type, row.data["subject"]) for row in told] == [
        ("identity.added", "ada-7"),
        ("identity.added", "b"),
    ]
    # The group is what lets Ben in: without it he stays out, account or not.
    assert refusal(tx, provider, replace(admin, claims={})) == "sign-in-no-membership"
    assert refusal(tx, provider, vouched(email_verified=False)) == "sign-in-mail-unverified"
    with pytest.raises(Unauthenticated):
        disable_user(tx, ada.id, actor="operator", now=NOW)
        admit(tx, provider, vouched(), now=NOW)


@pytest.mark.parametrize(
    "email", [None, "", "ada", "a b@acme.example", 7, ["ada@acme.example"], "adä@acme.example"]
)
def test_an_address_that_is_none_counts_as_none(tx: Tx, provider: Provider, email: Any) -> None:
    assert vouched(email=email).email == ""
    assert refusal(tx, provider, vouched(email=email)) == "sign-in-mail-unverified"


def test_names_that_cannot_stand_in_an_account_are_replaced() -> None:
    hostile = vouched(given_name="\u202eadA", family_name=["x"], name="x" * 500)
    assert (hostile.given_name, hostile.family_name) == ("x" * 100, "")
    assert vouched(given_name=" ", family_name="Byron").given_name == "Byron"
    assert vouched().given_name == "ada"


def test_an_account_that_is_there_is_joined_only_under_every_part_of_the_rule(
    tx: Tx, provider: Provider
) -> None:
    acme, other = factories.add_organisation(tx, "Acme"), factories.add_organisation(tx, "Other")

    def person(name: str, organisation: int = acme, **values: Any) -> Principal:
        return factories.add_user(tx, organisation, email=f"{name}@acme.example", **values)

    own = person("own")
    assert admit(tx, provider, vouched(sub="1", email=own.email), now=NOW).id == own.id
    # The address was given to somebody else at the provider: another subject.
    assert refusal(tx, provider, vouched(sub="2", email=own.email)) == "sign-in-account-taken"
    elsewhere = person("elsewhere", other)
    operator = person("operator", roles=(CUSTOMER, OPERATOR))
    gone = person("gone")
    disable_user(tx, gone.id, actor="operator", now=NOW)
    for who in (elsewhere, operator, gone):
        assert refusal(tx, provider, vouched(email=who.email)) == "sign-in-account-taken"
    by_claim = factories.add_user(tx, acme, email="claimed@elsewhere.example")
    claimed = vouched(email=by_claim.email, groups=["hub-admins"])
    assert refusal(tx, provider, claimed) == "sign-in-account-taken"


def test_the_organisation_must_be_there_and_stay_the_same(tx: Tx, provider: Provider) -> None:
    with pytest.raises(Unavailable, match="is not registered here"):
        admit(tx, provider, vouched(), now=NOW)
    factories.add_organisation(tx, "Acme")
    ada = admit(tx, provider, vouched(), now=NOW)
    other = factories.add_organisation(tx, "Other")
    moved = replace(provider, members=(replace(provider.members[0], organisation=other),))
    with pytest.raises(Denied, match="belongs to Acme"):
        admit(tx, moved, vouched(), now=NOW)
    assert admit(tx, provider, vouched(), now=NOW) == ada


def test_every_fault_of_the_file_is_told_at_once(tmp_path: Path) -> None:
    secret = tmp_path / "open.secret"
    secret.write_text("s")
    secret.chmod(0o644)
    path = tmp_path / "providers.toml"
    rules = (
        '{ domain = "*.acme.example", organisation = 1 }, { organisation = 1 }, '
        '{ claim = "g", organisation = 1 }, { domain = "a.b", organisation = "", roles = [] }, '
        '{ domain = "a.b", organisation = 1, roles = ["operator"] }, '
        '{ domain = "a.b", value = "x", organisation = 1, rolls = [] }'
    )
    path.write_text(
        f'colour = 1\n[[provider]]\nname = "A b"\ntitle = ""\nissuer = "http://acme.example"\n'
        f'client_secret_file = "{secret}"\nscopes = ["email"]\nlogo = 1\nmembers = [{rules}]\n'
        f'private_network = "no"\n[[provider]]\nname = "x"\n'
    )
    with pytest.raises(Invalid) as caught:
        load_providers(path)
    told = caught.value.details
    first = {f"provider[1].{key}" for key in ("name", "title", "issuer", "client_id", "scopes")}
    first |= {f"provider[1].{key}" for key in ("client_secret_file", "logo", "private_network")}
    wrong = {f"provider[1].members[{at}]" for at in range(1, 7)} | {"provider[1].members[6].rolls"}
    second = {f"provider[2].{key}" for key in ("title", "issuer", "client_id", "members")}
    assert set(told) == first | wrong | second | {"colour"}
    assert "chmod 600" in str(told["provider[1].client_secret_file"])
    assert all(place in caught.value.message for place in told)


@pytest.mark.parametrize("content", [b"\xff", b"[", b"provider = 3", b"", b"#" * (2**20 + 1)])
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "providers.toml"
    path.write_bytes(content)
    with pytest.raises(Invalid) as caught:
        load_providers(path)
    assert caught.value.code == "identity-providers-invalid"
    with pytest.raises(Invalid, match="cannot be read"):
        load_providers(tmp_path / "none.toml")


def test_two_providers_do_not_share_name_or_issuer(tmp_path: Path, provider: Provider) -> None:
    path = tmp_path / "providers.toml"
    block = FILE.format(secret=tmp_path / "acme.secret").partition('[[provider]]\nname = "beta')[0]
    path.write_text(block + block)
    with pytest.raises(Invalid, match="Two have the"):
        load_providers(path)
