"""Selections: the assets that one has picked for an order, kept at the hub under a pool's name."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from entrepot.client.answers import JsonObject, parse_object
from entrepot.client.api import Api
from entrepot.client.errors import BadAnswer, InvalidUse, NotFound
from entrepot.client.order_answers import ASSETS_UNKNOWN, LIST_ASSETS, refusal

DEFINITION_NAME = "M.Asset"  # what the ids name
IDS_AT_ONCE = 50_000  # in one change: under 1 MiB, far below what the hub takes
PAGE_IDS = 10_000
ASSETS_TAKE = 100  # on a page, the most that the hub gives
_UNKNOWN_SHOWN = 20
_ROOT, _ENTITIES = ("api", "selection"), ("api", "entities")


class Selections:
    """A caller's own selections. A pool is any name; its ids are those of assets, each once.

    `sub_pool` (a whole number) makes selections apart from each other within one pool. The hub
    says how many ids a selection can hold (200,000). Every method raises ClientError.
    """

    def __init__(self, api: Api) -> None:
        self._api = api

    def add(self, pool: str, assets: Iterable[int | str], *, sub_pool: int | None = None) -> int:
        """Add assets, by number or identifier; how many are selected then."""
        return self._change("add", pool, assets, sub_pool)

    def remove(self, pool: str, assets: Iterable[int | str], *, sub_pool: int | None = None) -> int:
        """Take assets out; those that are not in do no harm. How many are selected then."""
        return self._change("remove", pool, assets, sub_pool)

    def ids(self, pool: str, *, sub_pool: int | None = None) -> Iterator[int]:
        """The ids in ascending order, fetched page by page."""
        skip = 0
        while True:
            page = self.page(pool, skip=skip, take=PAGE_IDS, sub_pool=sub_pool)
            ids = page.get("items")
            if not isinstance(ids, list) or not all(type(one) is int for one in ids):
                raise BadAnswer("The hub's answer is not a list of ids.")
            yield from ids
            skip += len(ids)
            if len(ids) < PAGE_IDS:
                return

    def page(
        self, pool: str, *, skip: int = 0, take: int = PAGE_IDS, sub_pool: int | None = None
    ) -> JsonObject:
        """One page as the hub tells it: `total_items`, and `items` from the `skip`-th on."""
        query = {"skip": str(skip), "take": str(take), **_sub_pool(sub_pool)}
        return parse_object(self._api.call("GET", _path(pool), query, refuse=refusal).body)

    def clear(self, pool: str, *, sub_pool: int | None = None) -> None:
        """Take everything out."""
        self._api.call("DELETE", _path(pool), _sub_pool(sub_pool), refuse=refusal)

    def assets(
        self, *, group: str | None = None, skip: int = 0, take: int = ASSETS_TAKE
    ) -> list[JsonObject]:
        """Assets that one may have, by number: at most `take` (100) behind the first `skip`.

        `group`: only of this media group, such as Images.
        """
        query = {"skip": str(skip), "take": str(take)}
        if group is not None:
            query["mediaGroup"] = group
        reply = self._api.call("GET", _ENTITIES, query, refuse=refusal)
        items = parse_object(reply.body).get("items")
        if not isinstance(items, list) or not all(isinstance(one, dict) for one in items):
            raise BadAnswer("The hub's answer is not a list of assets.")
        return items

    def every_asset(self, *, group: str | None = None) -> Iterator[JsonObject]:
        """Every asset that one may have, fetched page by page."""
        skip = 0
        while True:
            page = self.assets(group=group, skip=skip)
            yield from page
            skip += len(page)
            if len(page) < ASSETS_TAKE:
                return

    def _change(
        self, operation: str, pool: str, assets: Iterable[int | str], sub_pool: int | None
    ) -> int:
        ids = self._numbers_of(assets)
        if not ids:
            raise InvalidUse("No asset is named.", remedy="Give numbers or identifiers of assets.")
        total = 0
        for start in range(0, len(ids), IDS_AT_ONCE):
            change = [{"operation": operation, "value": ids[start : start + IDS_AT_ONCE]}]
            reply = self._api.call(
                "PATCH",
                _path(pool),
                _sub_pool(sub_pool),
                headers={"Content-Type": "application/json"},
                body=json.dumps(change).encode(),
                refuse=refusal,
            )
            counted = parse_object(reply.body).get("total_items")
            total = counted if isinstance(counted, int) else 0
        return total

    def _numbers_of(self, assets: Iterable[int | str]) -> list[int]:
        """The numbers of all; NotFound names those that are none, the first of many."""
        ids: list[int] = []
        unknown: list[str] = []
        for asset in assets:
            try:
                ids.append(self.number_of(asset))
            except NotFound:
                unknown.append(repr(str(asset)))
                if len(unknown) == _UNKNOWN_SHOWN:
                    break
        if unknown:
            raise _no_asset(", ".join(unknown), len(unknown))
        return ids

    def number_of(self, asset: int | str) -> int:
        """The number of an asset that is named by it or by its identifier. Raises NotFound."""
        told = str(asset).strip()
        if told.isascii() and told.isdigit() and len(told) < 20:
            return int(told)
        found = find_asset(self._api, told).get("id")
        if not isinstance(found, int):
            raise BadAnswer("The hub's answer is not an asset.")
        return found


def find_asset(api: Api, asset: int | str) -> JsonObject:
    """An asset as the hub tells it, by number or identifier. Raises NotFound with its name."""
    try:
        return parse_object(api.call("GET", ("api", "entities", str(asset)), refuse=refusal).body)
    except NotFound as error:
        raise _no_asset(repr(str(asset)), 1) from error


def _no_asset(named: str, count: int) -> NotFound:
    what = f"asset {named}, or it is" if count == 1 else f"assets {named}, or they are"
    return NotFound(
        f"There {'is' if count == 1 else 'are'} no {what} not yours.",
        remedy=LIST_ASSETS,
        reason=ASSETS_UNKNOWN,
    )


def target_of(pool: str, sub_pool: int | None = None) -> Mapping[str, Any]:
    """The selection as an order names it (`target_selection`)."""
    told: dict[str, Any] = {"selectionPool": pool, "definitionName": DEFINITION_NAME}
    return told if sub_pool is None else {**told, "subPoolId": sub_pool}


def _path(pool: str) -> tuple[str, ...]:
    return (*_ROOT, pool, DEFINITION_NAME)


def _sub_pool(sub_pool: int | None) -> dict[str, str]:
    return {} if sub_pool is None else {"subPoolId": str(sub_pool)}
