"""Every caller x every operation of the orders dialect, against a small model.

The model says in plain words whose things are whose: an order, a selection and a job are its
owner's alone, not even a colleague's; an asset is for every organisation that has the right to
its product; people are shown to their own organisation. What is not yours and what is not there
are the same bytes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from entrepot.assembly import Hub
from entrepot.core import accounts
from tests import factories
from tests.doors.orders_world import NOT_FOUND, ORDERS, ORIGINAL, PNG, Shop, open_shop

OWNER, HOME, ENTITLED, ANYBODY = "owner", "home", "entitled", "anybody"
OK = {"GET": 200, "POST": 201, "PATCH": 200, "DELETE": 204}


@dataclass(frozen=True)
class Caller:
    """Whoever asks: what holds of them, and how they are refused whatever they ask for."""

    token: str | None
    holds: frozenset[str] = frozenset()
    refused: int = 0


@dataclass(frozen=True)
class Operation:
    """One operation on one thing of the owner's; `of`: for whom it is. `otherwise`: else."""

    method: str
    path: str
    of: str
    status: int = 0
    json: object = None
    otherwise: int = 404

    def expect(self, caller: Caller) -> int:
        """The model."""
        if caller.refused:
            return caller.refused
        if self.of == ANYBODY or self.of in caller.holds:
            return self.status or OK[self.method]
        return self.otherwise


@pytest.fixture
def shop(hub: Hub) -> Iterator[Shop]:
    with open_shop(hub) as opened:
        yield opened


def _callers(shop: Shop) -> Mapping[str, Caller]:
    home = shop.who.organisation_id
    with shop.hub.database.write() as tx:
        admin = factories.add_user(tx, home, roles=accounts.ROLES)
        disabled = factories.add_user(tx, home)
        machine, _ = factories.add_client(tx, home, scopes=("orders",))
        narrow, _ = factories.add_client(tx, home, scopes=("entitlements",))
        other = factories.add_organisation(tx)
        foreign = factories.add_user(tx, other)
        operator = factories.add_user(tx, factories.add_organisation(tx), roles=accounts.ROLES)
        partner = factories.add_user(tx, factories.add_organisation(tx))
        factories.grant(tx, partner.organisation_id, shop.product)
    colleague = frozenset({HOME, ENTITLED})
    found = {
        "owner": Caller(shop.token, colleague | {OWNER}),
        "colleague": Caller(shop.token_of(shop.colleague()), colleague),
        "colleague with every role": Caller(shop.token_of(admin), colleague),
        "machine of the organisation": Caller(shop.token_of(machine), colleague),
        "another organisation with the right": Caller(
            shop.token_of(partner), frozenset({ENTITLED})
        ),
        "another organisation": Caller(shop.token_of(foreign)),
        "operator of another organisation": Caller(shop.token_of(operator)),
        "machine without the scope": Caller(shop.token_of(narrow), refused=403),
        "owner's token for something else": Caller(
            shop.token_of(shop.who, ("entitlements",)), refused=403
        ),
        "disabled colleague": Caller(shop.token_of(disabled), refused=401),
        "nobody": Caller(None, refused=401),
        "garbage": Caller("garbage", refused=401),
        "owner's token, changed": Caller(shop.token[:-6] + "AAAAAA", refused=401),
    }
    with shop.hub.database.write() as tx:
        accounts.disable_user(tx, disabled.id, actor="operator", now=shop.hub.now())
    return found


def _operations(shop: Shop) -> list[Operation]:
    asset = shop.add_asset(b"a picture")
    waiting = shop.order(asset, each=PNG)["order_id"]
    keep = {"user_rendition_configuration": {"label": "Kept"}}
    number = shop.order(asset, each=PNG | keep)["order_id"]
    shop.convert(number)
    shop.select(asset)
    here, one = f"{ORDERS}/{number}", f"/api/entities/{asset}"
    individual = {"order": {"individual": {str(asset): ORIGINAL}}}
    change = [{"operation": "add", "value": [asset]}]
    by_pool = {"order": {}, "target_selection": {"selectionPool": "pool"}}
    return [
        Operation("GET", here, OWNER),
        Operation("GET", f"{here}/targets", OWNER),
        Operation("GET", f"{here}/targets/{asset}", OWNER),
        Operation("GET", f"{here}/events", OWNER),
        Operation("GET", f"/api/jobs/{number}", OWNER),
        Operation("POST", f"{here}/retry", OWNER, 409),
        Operation("POST", f"{ORDERS}/{waiting}/retry", OWNER, 409),
        Operation("GET", f"/api/users/{shop.who.id}", HOME),
        Operation("GET", one, ENTITLED),
        Operation("GET", f"{one}/renditions", ENTITLED),
        Operation("GET", f"{one}/renditions/Original", ENTITLED, 302),
        Operation("GET", f"{one}/renditions/Kept", HOME, 302),
        Operation("GET", f"{one}/renditions/thumbnail", ENTITLED, 409),
        Operation("PATCH", "/api/selection/mine", ENTITLED, json=change, otherwise=400),
        Operation("POST", ORDERS, ENTITLED, json=individual, otherwise=400),
        Operation("POST", ORDERS, OWNER, json=by_pool, otherwise=400),
        *(
            Operation("GET", path, ANYBODY)
            for path in (
                "/api",
                ORDERS,
                "/api/entities",
                "/api/mediagroups",
                "/api/renditions",
                "/api/presets",
                "/api/itemnameresolvers",
                "/api/selection/pool",
                "/api/selection/pool/M.Asset",
            )
        ),
        # Clearing and cancelling come last, the owner's own after all others'.
        Operation("DELETE", "/api/selection/mine", ANYBODY),
        Operation("DELETE", "/api/selection/mine/M.Asset", ANYBODY),
        Operation("DELETE", f"{ORDERS}/{waiting}", OWNER, 200),
        Operation("DELETE", here, OWNER, 200),
    ]


def test_everyone_gets_what_the_model_says(shop: Shop) -> None:
    callers = _callers(shop)
    seen = set()
    for operation in _operations(shop):
        for who, caller in sorted(callers.items(), key=lambda each: OWNER in each[1].holds):
            answer = shop.ask(
                operation.method, operation.path, token=caller.token, json=operation.json
            )
            about = (who, operation.method, operation.path, answer.text[:300])
            assert answer.status_code == operation.expect(caller), about
            if answer.status_code == 404:
                assert answer.content == NOT_FOUND, about
            if answer.status_code in (401, 403, 409):
                assert list(answer.json()) == ["Message"], about
            seen.add(answer.status_code)
    assert seen == {200, 201, 204, 302, 400, 401, 403, 404, 409}


def test_lists_show_what_is_ones_own_and_nothing_else(shop: Shop) -> None:
    callers = _callers(shop)
    asset = shop.add_asset()
    public = shop.add_asset(product=None)
    number = shop.order(asset)["order_id"]
    shop.select(asset)
    for who, caller in callers.items():
        if caller.refused:
            continue
        mine = OWNER in caller.holds
        orders = shop.get(ORDERS, token=caller.token)
        assert [each["order_id"] for each in orders["items"]] == ([number] if mine else []), who
        assert orders["total_items"] == mine, who
        selected = shop.get("/api/selection/pool/M.Asset", token=caller.token)
        assert selected["items"] == ([asset] if mine else []), who
        assert bool(shop.get("/api/selection/pool", token=caller.token)["items"]) == mine, who
        assets = shop.get("/api/entities", token=caller.token)
        entitled = [asset, public] if ENTITLED in caller.holds else [public]
        assert [each["id"] for each in assets["items"]] == entitled, who


def test_only_the_model_lets_leases_be_written(shop: Shop) -> None:
    callers = _callers(shop)
    asset = shop.add_asset(b"a picture")
    number = shop.order(asset)["order_id"]
    before, expected = shop.leases(), 0
    for caller in callers.values():
        shop.ask("GET", f"/api/entities/{asset}/renditions/Original", token=caller.token)
        shop.ask("GET", f"{ORDERS}/{number}", token=caller.token)
        expected += ENTITLED in caller.holds and not caller.refused
    assert shop.leases() - before == expected > 0
