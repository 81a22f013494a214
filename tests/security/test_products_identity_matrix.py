"""Every caller x every product and file x every verb of the products dialect, against a model.

The model in plain words: publishers and operators, with the scope `products`, manage what every
product shows; everyone who may read sees what the products show that are listed or that their
organisation has, or had, a right to. Files for anybody and for contacts are known to everyone;
those for a purchase to those who can know of the product. What is not yours and what is not
there are the same bytes, headers included.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx
import pytest

from entrepot.assembly import Hub
from entrepot.core import accounts, catalogue
from entrepot.core.accounts import CUSTOMER, OPERATOR, PUBLISHER
from tests import factories
from tests.doors.products_world import BROWSER, ROOT, SCOPES, Shop, open_shop

LISTED, SECRET, MISSING = "LISTED", "SECRET", "NOWHERE"
PRODUCTS = (LISTED, SECRET, MISSING)
VISIBILITIES = ("public", "contact", "purchase")
GONE = 999_999
UNLIKE = {"x-request-id", "ratelimit", "ratelimit-policy", "date"}


@dataclass(frozen=True)
class Caller:
    """Whoever asks. `rights`: of the organisation, `now` or `once`, by product."""

    token: str | None
    refused: int = 0  # whatever is asked for
    writes: bool = False
    knows_all: bool = False
    reads: bool = True
    rights: tuple[tuple[str, str], ...] = ()
    blocked: bool = False

    def knows(self, product: str) -> bool:
        """Whether the product is there, for this caller."""
        if product == MISSING:
            return False
        return product == LISTED or self.knows_all or product in dict(self.rights)

    def reading(self, product: str) -> int:
        """The status of a list, or of a download that is there."""
        if self.refused or not self.reads:
            return self.refused or 403
        return 200 if self.knows(product) else 404

    def writing(self, product: str, good: int) -> int:
        """The status of a change."""
        if self.refused or not self.writes:
            return self.refused or 403
        return good if product != MISSING else 404

    def taking(self, product: str, visibility: str) -> int:
        """The status of a request for the file."""
        if self.token is None:
            if visibility == "purchase":
                return 401 if product == LISTED else 404
            return 302 if visibility == "public" else 401
        if self.refused or not self.reads:
            return self.refused or 403
        if visibility == "purchase":
            right = dict(self.rights).get(product)
            if right is None and product != LISTED:
                return 404
            return 302 if right == "now" and not self.blocked else 403
        return 403 if self.blocked else 302


@pytest.fixture
def shop(hub: Hub) -> Iterator[Shop]:
    with open_shop(hub) as opened:
        yield opened


def callers(shop: Shop) -> Mapping[str, Caller]:
    """Everyone there is."""
    now = shop.hub.now()
    with shop.hub.database.write() as tx:
        house, bought, once, other, shut = (factories.add_organisation(tx) for _ in range(5))
        publisher = factories.add_user(tx, house, roles=(PUBLISHER,))
        operator = factories.add_user(tx, other, roles=(OPERATOR, CUSTOMER))
        buyer, colleague = factories.add_user(tx, bought), factories.add_user(tx, bought)
        admin = factories.add_user(tx, bought, roles=accounts.ROLES[:2])
        former = factories.add_user(tx, once)
        stranger, disabled = factories.add_user(tx, other), factories.add_user(tx, other)
        held = factories.add_user(tx, shut)
        for product in (LISTED, SECRET):
            factories.grant(tx, bought, product)
            factories.grant(tx, shut, product)
            factories.grant(tx, once, product, valid_to=factories.NOW)
        shop_machine, _ = factories.add_client(tx, bought, scopes=("products",))
        reader, _ = factories.add_client(tx, bought, scopes=("products.readonly",))
        narrow, _ = factories.add_client(tx, bought, scopes=("orders", "publish"))
        manager = accounts.add_client(
            tx,
            client_id="manager",
            name="Manager",
            organisation_id=house,
            scopes=SCOPES,
            roles=(PUBLISHER,),
            actor="operator",
            now=now,
        )
        managing = accounts.load_client(tx, manager.client_id, scopes=SCOPES)
        accounts.block_organisation(tx, shut, blocked=True, actor="operator", now=now)
    both = ((LISTED, "now"), (SECRET, "now"))
    past = ((LISTED, "once"), (SECRET, "once"))
    publishing = shop.token(publisher, *SCOPES)
    found = {
        "publisher": Caller(publishing, writes=True, knows_all=True),
        "operator": Caller(shop.token(operator), writes=True, knows_all=True),
        "publisher's machine": Caller(shop.token(managing, *SCOPES), writes=True, knows_all=True),
        "publisher who may read only": Caller(
            shop.token(publisher, "products.readonly"), knows_all=True
        ),
        "publisher without the scopes": Caller(shop.token(publisher, "publish"), reads=False),
        "buyer": Caller(shop.token(buyer), rights=both),
        "colleague with a narrow token": Caller(
            shop.token(colleague, "products.readonly"), rights=both
        ),
        "administrator of the buyer": Caller(shop.token(admin), rights=both),
        "buyer's machine": Caller(shop.token(shop_machine, "products"), rights=both),
        "buyer's reading machine": Caller(shop.token(reader, "products.readonly"), rights=both),
        "buyer's machine for something else": Caller(
            shop.token(narrow, "orders", "publish"), reads=False
        ),
        "former buyer": Caller(shop.token(former), rights=past),
        "stranger": Caller(shop.token(stranger)),
        "blocked organisation": Caller(shop.token(held), rights=both, blocked=True),
        "disabled stranger": Caller(shop.token(disabled), refused=401),
        "nobody": Caller(None, refused=401),
        "garbage": Caller("garbage", refused=401),
        "publisher's token, changed": Caller(publishing[:-6] + "AAAAAA", refused=401),
    }
    with shop.hub.database.write() as tx:
        accounts.disable_user(tx, disabled.id, actor="operator", now=now)
    return found


def shelves(shop: Shop) -> dict[tuple[str, str], int]:
    """Numbers of downloads by product and visibility."""
    with shop.hub.database.write() as tx:
        factories.add_product(tx, LISTED)
        factories.add_product(tx, SECRET, listed=False)
        return {
            (product, visibility): factories.add_product_download(
                tx, product, visibility=visibility, store=shop.hub.blobs
            )
            for product in (LISTED, SECRET)
            for visibility in VISIBILITIES
        }


def told(answer: httpx.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    """All that an answer says, but for what differs in every answer."""
    headers = [pair for pair in answer.headers.items() if pair[0] not in UNLIKE]
    return answer.status_code, answer.content, headers


def test_everyone_gets_what_the_model_says(shop: Shop) -> None:
    shown = shelves(shop)
    everyone = callers(shop)
    seen = set()
    change = {"data": {"title": "Changed"}}
    for who, caller in everyone.items():
        for product in PRODUCTS:
            at = f"{ROOT}/{product}/downloads"
            number = shown.get((product, "purchase"), GONE)
            wanted = [
                ("GET", f"{at}.json", None, caller.reading(product)),
                ("HEAD", f"{at}.json", None, caller.reading(product)),
                ("GET", f"{at}/{number}.json", None, caller.reading(product)),
                ("PUT", f"{at}/{number}.json", change, caller.writing(product, 200)),
                ("POST", f"{at}.json", {"data": {"file": "data:,x"}}, caller.writing(product, 201)),
            ]
            for method, path, json, status in wanted:
                answer = shop.ask(method, path, caller.token, json=json)
                assert answer.status_code == status, (who, method, path, answer.text[:200])
                seen.add(status)
                if method == "POST" and status == 201:
                    made = answer.json()["data"]["id"]
                    removed = shop.ask("DELETE", f"{at}/{made}.json", caller.token)
                    assert removed.status_code == 204
            refused = caller.writing(product, 204)
            if refused != 204:
                answer = shop.ask("DELETE", f"{at}/{number}.json", caller.token)
                assert answer.status_code == refused, (who, product)
        for (product, visibility), number in shown.items():
            answer = shop.ask("GET", f"/downloads/{number}/x", caller.token)
            about = (who, product, visibility, answer.text[:200])
            assert answer.status_code == caller.taking(product, visibility), about
            seen.add(answer.status_code)
    assert seen == {200, 201, 302, 401, 403, 404}


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_not_yours_is_not_there_byte_for_byte(shop: Shop) -> None:
    shown = shelves(shop)
    hidden = shown[SECRET, "purchase"]
    pairs = 0
    with shop.hub.database.read() as tx:
        number = catalogue.find_product(tx, SECRET).id
    for who, caller in callers(shop).items():
        for headers in ({}, BROWSER):
            for method in ("GET", "HEAD"):
                if caller.taking(SECRET, "purchase") != 404:
                    continue
                asked = [f"/downloads/{each}/sheet.pdf" for each in (hidden, GONE)]
                theirs, nothing = (
                    told(shop.ask(method, path, caller.token, headers=headers)) for path in asked
                )
                assert theirs == nothing, (who, method, headers)
                pairs += 1
        if caller.knows(SECRET):
            continue
        for method, json in (
            *(("GET", None), ("HEAD", None), ("DELETE", None)),
            *(("PUT", {"data": {"title": "x"}}), ("POST", {"data": {"file": "data:,x"}})),
        ):
            for of, rest in (
                (number, ""),
                (SECRET, ""),
                (SECRET, f"/{hidden}"),
                (number, f"/{GONE}"),
            ):
                if (method in ("PUT", "DELETE")) == (not rest) or (method == "POST" and rest):
                    continue
                theirs = told(
                    shop.ask(method, f"{ROOT}/{of}/downloads{rest}.json", caller.token, json=json)
                )
                missing = f"/{GONE}" if rest else ""
                nothing = told(
                    shop.ask(
                        method, f"{ROOT}/{GONE}/downloads{missing}.json", caller.token, json=json
                    )
                )
                assert theirs == nothing, (who, method, of, rest)
                pairs += 1
    assert pairs > 60
