"""The objects of the contract (section 2) as golden JSON, and the real client's view of them."""

from collections.abc import Iterator
from typing import Any

import pytest
from edmgr import formatters

from entrepot.assembly import Hub
from entrepot.core import catalogue, entitlements
from entrepot.core.entitlements import child_number
from entrepot.kit.text import format_instant
from tests import factories
from tests.doors.entitlement_world import (
    DAY,
    ROOT,
    URL,
    Door,
    Offer,
    add_offer,
    artifact_path,
    open_door,
    release_path,
    releases_path,
)
from tests.factories import NOW


@pytest.fixture
def door(hub: Hub) -> Iterator[Door]:
    with open_door(hub) as opened:
        yield opened


def _add_full_offer(door: Door) -> Offer:
    """An entitlement of which everything is said that can be said."""
    start = NOW - 100 * DAY
    with door.hub.database.write() as tx:
        catalogue.add_licence(
            tx, code="TOOLS", name="Tools", text="Be nice.", actor="operator", now=NOW
        )
        return add_offer(
            tx,
            now=door.hub.now(),
            product={
                "code": "DS000B",
                "name": "Development Studio",
                "us_eccn": ("5D992", "5E002"),
                "eccn_restricted": True,
                "licence_code": "TOOLS",
            },
            grant={
                "free": True,
                "qualities": ("EAC", "BETA"),
                "valid_from": start,
                "valid_to": start + 3000 * DAY,
                "maintenance_from": start,
                "maintenance_to": start + 2000 * DAY,
                "design_start": ("Example Foundry",),
                "allowed_countries": ("DE", "FR"),
                "compliance_reason": "Checked by hand",
                "sales_order_item": "4711-10",
            },
        )


def test_an_entitlement_with_every_field(door: Door) -> None:
    offer = _add_full_offer(door)
    number, organisation = offer.number, offer.who.organisation_id
    expected = {
        "id": str(number),
        "uri": f"{URL}{ROOT}/{number}",
        "customer": {
            "id": str(organisation),
            "name": offer.who.organisation_name,
            "uri": f"{URL}/customers/{organisation}",
            "blocked": False,
        },
        "product": {
            "id": "DS000B",
            "name": "Development Studio",
            "uri": f"{URL}/products/DS000B",
            "standardDeliveryMethod": "download",
            "eula": {"id": "TOOLS", "uri": f"{URL}/licences/TOOLS"},
        },
        "status": "Active",
        "rightTo": "download",
        "validFrom": "2026-03-07T12:00:00.000Z",
        "validTo": "2034-05-24T12:00:00.000Z",
        "characteristics": {"free": True, "grouped": False, "virtual": False},
        "rights": {
            "qualities": [{"quality": "EAC"}, {"quality": "BETA"}],
            "maintenanceFrom": "2026-03-07T12:00:00.000Z",
            "maintenanceTo": "2031-08-28T12:00:00.000Z",
            "designStart": [{"foundry": "Example Foundry"}],
        },
        "compliance": {
            "status": "approved",
            "statusReason": "Checked by hand",
            "eccnRestricted": True,
            "usECCN": ["5D992", "5E002"],
            "allowedCountries": [
                {"id": "DE", "uri": f"{URL}/countries/DE"},
                {"id": "FR", "uri": f"{URL}/countries/FR"},
            ],
        },
        "history": {
            "createdAt": "2026-06-15T12:00:00.000Z",
            "lastChangedAt": "2026-06-15T12:00:00.000Z",
        },
        "salesOrderItem": {"id": "4711-10"},
    }
    token = door.token(offer.who)
    one = door.get(f"/{number}", token)
    assert one.json() == expected
    assert door.get("", token).json() == {"totalNumberOfItems": 1, "items": [expected]}
    assert one.headers["content-type"] == "application/json"
    assert one.headers["cache-control"] == "private, no-store"


def test_what_is_missing_is_left_out_and_lists_are_there_even_when_empty(door: Door) -> None:
    with door.hub.database.write() as tx:
        offer = add_offer(tx, now=door.hub.now())
    found = door.get(f"/{offer.number}", door.token(offer.who)).json()
    assert set(found) == {
        "id", "uri", "customer", "product", "status", "rightTo", "validFrom",
        "characteristics", "rights", "compliance", "history",
    }  # fmt: skip
    assert "eula" not in found["product"]
    assert found["rights"] == {"qualities": [], "designStart": []}
    assert found["compliance"] == {
        "status": "approved", "eccnRestricted": False, "usECCN": [], "allowedCountries": []
    }  # fmt: skip
    assert list(_nulls(found)) == []


def _nulls(value: Any) -> Iterator[Any]:
    if value is None:
        yield value
    parts = value.values() if isinstance(value, dict) else value
    if isinstance(value, dict | list):
        for part in parts:
            yield from _nulls(part)


def test_a_group_shows_its_children_and_each_child_is_an_entitlement(door: Door) -> None:
    with door.hub.database.write() as tx:
        first = factories.add_product(
            tx, "CORE1", foundries=("Foundry A", "Foundry B"), process="5nm"
        )
        second = factories.add_product(tx, "CORE2")
        offer = add_offer(tx, now=door.hub.now())
        group = factories.add_product(tx, "FAMILY", members=(first, second))
        number = factories.grant(tx, offer.who.organisation_id, group, qualities=("EAC",))
        ids = {code: catalogue.find_product(tx, code).id for code in (first, second)}
    token = door.token(offer.who)
    children = [str(child_number(number, ids[code])) for code in (first, second)]
    found = door.get(f"/{number}", token).json()
    assert found["characteristics"] == {"free": False, "grouped": True, "virtual": False}
    assert found["virtualEntitlements"] == [
        {
            "id": children[0],
            "product": {
                "id": "CORE1",
                "name": "Product CORE1",
                "uri": f"{URL}/products/CORE1",
                "foundry": ["Foundry A", "Foundry B"],
                "process": "5nm",
            },
        },
        {
            "id": children[1],
            "product": {
                "id": "CORE2",
                "name": "Product CORE2",
                "uri": f"{URL}/products/CORE2",
                "foundry": [],
            },
        },
    ]
    child = door.get(f"/{children[0]}", token).json()
    assert child["id"] == children[0]
    assert child["product"]["id"] == "CORE1"
    assert child["characteristics"] == {"free": False, "grouped": False, "virtual": True}
    assert child["rights"]["qualities"] == [{"quality": "EAC"}]
    assert "virtualEntitlements" not in child


def test_a_group_without_the_right_to_download_has_no_children(door: Door) -> None:
    with door.hub.database.write() as tx:
        offer = add_offer(tx, now=door.hub.now())
        group = factories.add_product(tx, members=(offer.product,))
        number = factories.grant(tx, offer.who.organisation_id, group, right_to="use")
        child = child_number(number, catalogue.find_product(tx, offer.product).id)
    token = door.token(offer.who)
    found = door.get(f"/{number}", token).json()
    assert (found["rightTo"], found["virtualEntitlements"]) == ("use", [])
    assert door.get(f"/{child}", token).status_code == 404
    assert door.get(releases_path(number), token).status_code == 404


def test_a_release_and_its_artifacts(door: Door) -> None:
    available = door.hub.now() - DAY
    files = (("b.tgz", b"bb"), ("a.pdf", b"aaa"))
    with door.hub.database.write() as tx:
        offer = add_offer(
            tx,
            now=door.hub.now(),
            release={
                "name": "2022.2",
                "files": files,
                "available_at": available,
                "repository": "controlled-ip",
            },
        )
    artifacts = [
        {
            "id": artifact_id,
            "name": name,
            "description": "",
            "type": "File",
            "fileName": name,
            "fileSize": len(data),
            "md5": factories.digests_of(data).md5,
            "sha256": factories.digests_of(data).sha256,
            "repository": "controlled-ip",
        }
        for artifact_id, (name, data) in zip(offer.release.artifact_ids, files, strict=True)
    ]
    expected = {
        "id": offer.release.id,
        "entitlement": {"id": str(offer.number)},
        "name": "2022.2",
        "quality": "EAC",
        "type": "Release",
        "availableAt": format_instant(available),
        "artifacts": artifacts,
    }
    token = door.token(offer.who)
    listed = door.get(releases_path(offer.number), token)
    assert listed.json() == {"totalNumberOfItems": 1, "items": [expected]}
    assert door.get(release_path(offer.number, offer.release.id), token).json() == expected
    assert door.get(offer.artifact, token).json() == artifacts[0]
    upper = artifact_path(
        offer.number, offer.release.id.upper(), offer.release.artifact_ids[1].upper()
    )
    assert door.get(upper, token).json() == artifacts[1]


def test_parts_of_a_version_are_shown_where_the_publisher_gave_them(door: Door) -> None:
    now = door.hub.now()
    with door.hub.database.write() as tx:
        offer = add_offer(tx, now=now)
        product = catalogue.find_product(tx, offer.product).id
        spec = catalogue.ReleaseSpec("r1p0", "r1", "p0", "1", "0", "BET", "Patch")
        release = catalogue.create_release(tx, product, spec, actor="operator", now=now)
        file = catalogue.ArtifactSpec("notes.txt", "Notes", "What is new", "Documentation")
        catalogue.add_artifact(
            tx, release, file, factories.digests_of(b"notes"), actor="operator", now=now
        )
        catalogue.make_available(tx, release, available_at=now - DAY, actor="operator", now=now)
    found = door.get(release_path(offer.number, release), door.token(offer.who)).json()
    artifact = found.pop("artifacts")[0]
    assert found == {
        "id": release,
        "entitlement": {"id": str(offer.number)},
        "name": "r1p0",
        "revision": "r1",
        "patch": "p0",
        "majorVersion": "1",
        "minorVersion": "0",
        "quality": "BET",
        "type": "Patch",
        "availableAt": format_instant(now - DAY),
    }
    assert artifact["name"] == "Notes"
    assert artifact["description"] == "What is new"
    assert artifact["type"] == "Documentation"
    assert artifact["fileName"] == "notes.txt"


def test_the_link_is_absolute_and_named_after_the_artifact(door: Door) -> None:
    with door.hub.database.write() as tx:
        offer = add_offer(tx, now=door.hub.now(), release={"files": (("tool 1.bin", b"x"),)})
    answer = door.get(f"{offer.artifact}/http", door.token(offer.who))
    body = answer.json()
    assert answer.status_code == 200
    assert set(body) == {"downloadUrl", "message"}
    assert body["message"] == f"Download Url for {offer.release.artifact_ids[0]}"
    assert body["downloadUrl"].startswith(f"{URL}/dl/")
    assert body["downloadUrl"].endswith("/tool%201.bin")
    assert "?" not in body["downloadUrl"]


def test_uris_carry_the_prefix_of_the_public_address(hub: Hub) -> None:
    with open_door(hub, public_url="https://hub.example.com/get", path_prefix="/get") as door:
        with hub.database.write() as tx:
            offer = add_offer(tx, now=hub.now())
        token = door.token(offer.who)
        found = door.get(f"/{offer.number}", token).json()
        assert found["uri"] == f"https://hub.example.com/get{ROOT}/{offer.number}"
        assert found["product"]["uri"] == f"https://hub.example.com/get/products/{offer.product}"
        link = door.get(f"{offer.artifact}/http", token).json()["downloadUrl"]
        assert link.startswith("https://hub.example.com/get/dl/")


def test_the_real_clients_tables_are_made_without_a_crash(door: Door) -> None:
    """Its formatters fail on null and on missing lists: every kind goes through them."""
    now = door.hub.now()
    with door.hub.database.write() as tx:
        offer = add_offer(tx, now=now)
        owner = offer.who.organisation_id
        group = factories.add_product(tx, members=(offer.product,))
        factories.grant(tx, owner, group, design_start=("Foundry",), allowed_countries=("DE",))
        factories.grant(tx, owner, offer.product, maintenance_to=now - DAY)
        ended = factories.grant(tx, owner, offer.product, valid_to=now - DAY)
        entitlements.revoke(tx, factories.grant(tx, owner, group), actor="operator", now=now)
    token = door.token(offer.who)
    items = door.get("", token).json()["items"]
    table = formatters.format_entitlements(items)
    assert "group (1 entitlements)" in table
    assert {"Active", "Lapsed", "Expired", "Revoked"} == {item["status"] for item in items}
    assert items[-1]["id"] in (str(ended), str(ended + 1))
    for item in items:
        assert item["id"] in formatters.format_entitlement(item, offset=None, product_code=None)
    releases = door.get(releases_path(offer.number), token).json()["items"]
    assert offer.release.id in formatters.format_releases(releases)
    assert "file.bin" in formatters.format_artifacts(releases[0]["artifacts"])
