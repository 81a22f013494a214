"""Many people at once on a small quota, served by two processes of a real hub."""

import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from entrepot.core import accounts, entitlements
from entrepot.daemon.desk import Desk
from tests.system.hubs import Hub

HALDEN = "Halden Microsystems"
RACERS, FIT = 20, 5
ROOT = "/e-product-entitlement-customer/v1/entitlements"


def prepared(hub: Hub, product: str) -> tuple[int, list[str]]:
    """An entitlement to the product with a quota, and the tokens of those who want it."""
    with Desk({"data": str(hub.data)}).hub() as inside, inside.database.write() as tx:
        now = inside.now()
        organisation = accounts.add_organisation(
            tx, name="Racers", country="NO", actor="test", now=now
        )
        given = entitlements.Grant(product, downloads_max=FIT)
        number = entitlements.grant(tx, organisation, given, actor="test", now=now)
        tokens = []
        for racer in range(RACERS):
            user = accounts.add_user(
                tx,
                email=f"racer{racer}@racers.example",
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


def test_a_race_over_two_processes_gives_exactly_the_quota(hub: Hub) -> None:
    entitled = hub.entitlement("plain", HALDEN)
    artifact = hub.artifacts(entitled["id"])[0]
    number, tokens = prepared(hub, entitled["product_code"])
    path = (
        f"{ROOT}/{number}/rights/download/releases/{artifact['release_id']}"
        f"/artifact/{artifact['artifact_id']}/http"
    )
    links = []
    for token in tokens:
        answer = hub.ask(path, token=token)
        assert answer.status == 200, answer.body
        links.append(urlsplit(answer.json()["downloadUrl"]).path)
    start = threading.Barrier(RACERS)

    def take(link: str) -> tuple[int, str]:
        start.wait()
        answer = hub.ask(link)
        return answer.status, "" if answer.status == 200 else answer.json()["code"]

    with ThreadPoolExecutor(RACERS) as pool:
        outcomes = sorted(pool.map(take, links))
    assert outcomes == [(200, "")] * FIT + [(403, "quota-exhausted")] * (RACERS - FIT)
