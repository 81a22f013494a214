"""Why a link would be issued or not, over HTTP: in the words of the refusal, without a trace."""

import json
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import func, select

from entrepot.assembly import Hub
from entrepot.core import catalogue
from entrepot.core.delivery.tables import leases, reservations
from entrepot.core.events.tables import events
from tests import factories
from tests.doors.entitlement_world import (
    DAY,
    MISSING,
    NOT_FOUND,
    Door,
    add_offer,
    artifact_path,
    open_door,
)
from tests.doors.test_entitlement_refusals import CASES, Change, Made


def _rows(door: Door) -> list[int]:
    with door.hub.database.read() as tx:
        return [
            tx.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (leases, reservations, events)
        ]


def test_each_refusal_is_foretold_in_its_own_words_and_leaves_no_trace(hub: Hub) -> None:
    with hub.database.write() as tx:
        catalogue.add_licence(
            tx, code="TOOLS", name="Tools", text="One.", actor="operator", now=hub.now()
        )
    with open_door(hub) as door, open_door(hub, embargoed=("DE",)) as strict:
        for verdict, (made, change, embargoed, declared) in CASES.items():
            _check_foretold(strict if embargoed else door, verdict, made, change, declared)


def _check_foretold(
    door: Door,
    verdict: str,
    made: Callable[[datetime], Made],
    change: Change,
    declared: str | None,
) -> None:
    hub = door.hub
    with hub.database.write() as tx:
        offer = add_offer(tx, now=hub.now(), **made(hub.now()))
    token = door.token(offer.who)
    assert door.get("", token).status_code == 200  # the token is known from here on
    with hub.database.write() as tx:
        change(tx, offer, hub.now())
    headers = {} if declared is None else {"declared-country-code": declared}
    before = _rows(door)
    answer = door.get(f"{offer.artifact}/permission", token, headers=headers)
    assert (answer.status_code, _rows(door)) == (200, before)
    told = answer.json()
    assert (told["allowed"], told["reason"]) == (False, verdict)
    refused = door.get(f"{offer.artifact}/http", token, headers=headers).json()
    failed = next(check for check in told["checks"] if check["state"] == "failed")
    assert refused["errorDescription"] == f"{failed['message']} {failed['remedy']}"
    assert told.get("agreementUrl") == refused.get("agreementUrl")


def test_what_is_allowed_says_until_when(hub: Hub) -> None:
    now = hub.now()
    with open_door(hub) as door:
        with hub.database.write() as tx:
            period = {"valid_to": now + DAY, "maintenance_to": now + DAY, "downloads_max": 3}
            offer = add_offer(tx, now=now, grant=period)
        answer = door.get(f"{offer.artifact}/permission", door.token(offer.who)).json()
    assert (answer["allowed"], "reason" in answer) == (True, False)
    assert {check["state"] for check in answer["checks"]} == {"passed"}
    dated = {check["name"]: check["to"][:10] for check in answer["checks"] if "to" in check}
    assert dated == dict.fromkeys(("entitlement", "maintenance"), str((now + DAY).date()))
    assert answer["checks"][-1]["facts"] == {"downloads_left": 3}


def test_it_is_found_by_what_a_person_knows_of_it(hub: Hub) -> None:
    with open_door(hub) as door:
        with hub.database.write() as tx:
            offer = add_offer(tx, now=hub.now(), release={"name": "2.0"})
            catalogue.withdraw_release(tx, offer.release.id, actor="operator", now=hub.now())
            product = catalogue.find_product(tx, offer.product)
        token = door.token(offer.who)
        searches = (
            {"artifact.id": offer.release.artifact_ids[0]},
            {"release.id": offer.release.id},
            {"product.id": offer.product, "release.name": "2.0"},
            {"product.id": offer.product},
            {"product.id": str(product.id)},
        )
        for search in searches:
            found = door.get("/permissions", token, params={"search": json.dumps(search)}).json()
            assert found["totalNumberOfItems"] == 1
            [item] = found["items"]
            assert item["artifact"]["id"] == offer.release.artifact_ids[0]
            assert (item["reason"], item["product"]["id"]) == ("release-withdrawn", offer.product)
        nothing = ("", json.dumps({"release.name": "2.0"}), json.dumps({"x": "y"}))
        for text in nothing:
            params = {"search": text} if text else {}
            assert door.get("/permissions", token, params=params).status_code == 400


def test_what_is_not_yours_is_not_there_byte_for_byte(hub: Hub) -> None:
    now = hub.now()
    with open_door(hub) as door:
        with hub.database.write() as tx:
            offer, theirs = add_offer(tx, now=now), add_offer(tx, now=now)
            draft = factories.add_release(tx, offer.product, draft=True)
            other = factories.add_release(tx, factories.add_product(tx), available_at=now - DAY)
        token = door.token(offer.who)
        paths = [theirs.artifact, offer.artifact.replace(offer.release.id, MISSING)]
        paths += [
            artifact_path(offer.number, made.id, made.artifact_ids[0]) for made in (draft, other)
        ]
        answers = [door.get(f"{path}/permission", token) for path in paths]
        searches = (
            {"artifact.id": theirs.release.artifact_ids[0]},
            {"release.id": draft.id},
            {"product.id": theirs.product},
            {"product.id": "no such product"},
            {"artifact.id": "no id"},
        )
        answers += [
            door.get("/permissions", token, params={"search": json.dumps(search)})
            for search in searches
        ]
        for answer in answers:
            assert (answer.status_code, answer.content) == (404, NOT_FOUND)
        assert door.get(f"{offer.artifact}/permission").status_code == 401
        unscoped = door.token(offer.who, ("products",))
        assert door.get(f"{offer.artifact}/permission", unscoped).status_code == 403
