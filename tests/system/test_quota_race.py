"""Many people at once on a small quota, served by two processes of a real hub."""

import hashlib
from urllib.parse import urlsplit
from uuid import uuid4

from entrepot.core import accounts, entitlements
from tests.databases import postgresql_server  # noqa: F401 - a fixture
from tests.system.racing import (  # noqa: F401 - fixtures
    Ring,
    ring,
    together,
)

HALDEN = "Halden Microsystems"
RACERS, FIT = 200, 5
ROOT = "/e-product-entitlement-customer/v1/entitlements"


def prepared(ring: Ring, product: str) -> tuple[int, list[str]]:  # noqa: F811
    """An entitlement to the product with a quota, and the tokens of those who want it."""
    name = f"Racers {uuid4().hex[:8]}"
    with ring.inside.database.write() as tx:
        now = ring.inside.now()
        organisation = accounts.add_organisation(tx, name=name, country="NO", actor="test", now=now)
        given = entitlements.Grant(product, downloads_max=FIT)
        number = entitlements.grant(tx, organisation, given, actor="test", now=now)
        tokens = []
        for racer in range(RACERS):
            user = accounts.add_user(
                tx,
                email=f"{uuid4().hex[:8]}-{racer}@racers.example",
                given_name="Racer",
                family_name="",
                organisation_id=organisation,
                password=None,
                actor="test",
                now=now,
            )
            made = accounts.make_personal_token(
                tx, user, name="CI", scopes=["entitlements"], actor="test", now=now
            )
            tokens.append(made.value)
        return number, tokens


def test_of_two_hundred_exactly_as_many_as_the_quota_says_get_bytes(ring: Ring) -> None:  # noqa: F811
    hub = ring.hub
    entitled = hub.entitlement("plain", HALDEN)
    artifact = hub.artifacts(entitled["id"])[0]
    number, tokens = prepared(ring, entitled["product_code"])
    path = (
        f"{ROOT}/{number}/rights/download/releases/{artifact['release_id']}"
        f"/artifact/{artifact['artifact_id']}/http"
    )
    links = []
    for token in tokens:
        answer = hub.ask(path, token=token)
        assert answer.status == 200, answer.body
        links.append(urlsplit(answer.json()["downloadUrl"]).path)

    def take(link: str) -> tuple[int, str]:
        answer = hub.ask(link)
        if answer.status == 200:
            return 200, hashlib.sha256(answer.body).hexdigest()
        return answer.status, answer.json()["code"]

    outcomes = sorted(together([lambda link=link: take(link) for link in links]))  # type: ignore[misc]
    assert outcomes[:FIT] == [(200, artifact["sha256"])] * FIT
    assert outcomes[FIT:] == [(403, "quota-exhausted")] * (RACERS - FIT)
    [[counted]] = ring.rows(f"SELECT count(*) FROM downloads WHERE entitlement_id = {number}")
    assert counted <= FIT  # what was sent is written down a moment later
