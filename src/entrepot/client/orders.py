"""Download orders: many assets, converted where that is wanted, in one ZIP."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from entrepot.client.answers import JsonObject, parse_object
from entrepot.client.api import Api, Reply
from entrepot.client.connections import Connection
from entrepot.client.downloader import Conditions, Downloaded, Watcher, download, parse_link
from entrepot.client.errors import (
    BadAnswer,
    ClientError,
    Denied,
    InvalidUse,
    OrderEnded,
    Unreachable,
)
from entrepot.client.names import safe_name
from entrepot.client.order_answers import of_order, refusal
from entrepot.client.order_events import ENDED, POLL_SECONDS, OrderEvent, OrderWatch, order_path
from entrepot.client.order_requests import (
    GROUP_PREFIX,
    INDIVIDUAL_MAX,
    Wishes,
    global_configuration,
    known_group,
)
from entrepot.client.order_zips import OrderZipCheck
from entrepot.client.retries import Backoff
from entrepot.client.selections import find_asset, target_of
from entrepot.client.stop import Stop
from entrepot.client.verification import Expected
from entrepot.client.zips import is_right

TAKE = 100  # orders or targets on a page, the most that the hub gives
OrderType: TypeAlias = Literal["Standard", "Custom"]
_ROOT = ("api", "downloadorders")
_JsonObjects: TypeAlias = list[JsonObject]
_Refuse: TypeAlias = Callable[[Reply], ClientError]


class Orders:
    """A caller's own orders. Objects come back as the hub sent them (docs/reference/orders-api.md).

    Every method raises ClientError; the hub's 400 becomes InvalidUse with the path of each key
    at fault. Safe to use from several threads.

        order = client.orders.create(["sample-dunes"], renditions=["thumbnail"])
        for event in client.orders.watch(order["order_id"]):
            print(event.status, event.files_completed, event.files_total)
        client.orders.download(order["order_id"], "files")
    """

    def __init__(self, api: Api, transfer_backoff: Backoff, stop: Stop) -> None:
        self._api = api
        self._backoff = transfer_backoff
        self._stop = stop

    def create(
        self,
        assets: Sequence[int | str] = (),
        *,
        selection: str | None = None,
        sub_pool: int | None = None,
        renditions: Sequence[str] = (),
        presets: Sequence[str] = (),
        conversions: Sequence[Sequence[Mapping[str, Any]]] = (),
        groups: Mapping[str, Wishes] | None = None,
        individual: Mapping[int | str, Wishes] | None = None,
        keep_as: Mapping[str, str] | None = None,
        name: str | None = None,
        zip_name: str | None = None,
        resolver: str | None = None,
        culture: str | None = None,
        order_type: OrderType = "Standard",
    ) -> JsonObject:
        """Place an order of `assets` (numbers or identifiers) or of a selection's pool.

        `renditions`, `presets` and `conversions` are for every asset, `groups` for those of one
        media group (`Images`, ...) beyond that, and `individual` for single assets instead.
        What nothing is wished of is delivered in the hub's default renditions by a Standard
        order, and not at all by a Custom one.

        Nothing is sent twice: where the connection breaks, look with `list` whether the order
        was placed. Raises InvalidUse for what cannot work, before anything is made.
        """
        every = Wishes(renditions, presets, conversions, keep_as)
        single = {str(key): wishes for key, wishes in (individual or {}).items()}
        named = {str(asset) for asset in assets}
        if not assets and selection is None and not single:
            raise InvalidUse(
                "Nothing says what is ordered.", remedy="Name assets, or the pool of a selection."
            )
        if assets and selection is not None:
            raise InvalidUse("Name assets or a selection, not both.")
        configured = {key: wishes.configuration() for key, wishes in single.items()}
        order: JsonObject = {"individual": configured}
        if selection is None:
            if len(named | single.keys()) > INDIVIDUAL_MAX:
                raise InvalidUse(
                    f"More than {INDIVIDUAL_MAX} assets cannot be ordered one by one.",
                    remedy="Select them first, and order the selection.",
                )
            for asset in dict.fromkeys(map(str, assets)):
                if asset not in configured:
                    configured[asset] = self._wished(asset, every, groups or {}).configuration()
        else:
            order["global"] = global_configuration(every, groups or {})
        body: JsonObject = {
            "order": order,
            "name": name,
            "item_name_resolver_id": resolver,
            "culture": culture,
            "download_order_type": order_type,
        }
        if zip_name is not None:
            order["zip_filename"] = zip_name
        if selection is not None:
            body["target_selection"] = target_of(selection, sub_pool)
        return self.place(body)

    def place(self, request: Mapping[str, Any]) -> JsonObject:
        """Place an order spelled out as the API takes it: `order`, `target_selection`, ..."""
        reply = self._api.call(
            "POST",
            _ROOT,
            headers={"Content-Type": "application/json"},
            body=json.dumps(request).encode(),
            again=False,
            refuse=refusal,
        )
        return parse_object(reply.body)

    def list(self, *, page: int | None = None, limit: int = 25) -> _JsonObjects:
        """All orders, newest first, or page `page` (from 1) of `limit` (at most 100) each."""
        if page is not None:
            return _items(self._page(_ROOT, (page - 1) * limit, limit))
        found: dict[Any, JsonObject] = {}
        for order in self._all(_ROOT):
            # One that is placed meanwhile shifts the pages: the last of one comes again.
            found.setdefault(order.get("order_id"), order)
        return [*found.values()]

    def show(self, order_id: int) -> JsonObject:
        """One order, with a link to its ZIP (good for 5 to 10 minutes) where there is one."""
        return self._order("GET", order_id)

    def targets(self, order_id: int) -> Iterator[JsonObject]:
        """The order's assets, as links, fetched page by page."""
        return self._all(order_path(order_id, "targets"), of_order(order_id))

    def errors(self, order_id: int) -> _JsonObjects:
        """What could not be made and why, the first 100: `identifier`, `rendition`, `message`..."""
        told = parse_object(self._api.call("GET", _job(order_id), refuse=of_order(order_id)).body)
        return _objects(told.get("errors"))

    def cancel(self, order_id: int) -> JsonObject:
        """Stop an order that is at work; end the download of a delivered one (Expired)."""
        return self._order("DELETE", order_id)

    def retry(self, order_id: int) -> JsonObject:
        """Try again what failed, go on with what was cancelled. Raises Denied where it cannot."""
        return self._order("POST", order_id, "retry", again=False)

    def watch(
        self, order_id: int, *, after: int | None = None, poll_seconds: float = POLL_SECONDS
    ) -> Iterator[OrderEvent]:
        """How the order is now and what happens to it, until it has ended.

        By server-sent events, taken up again where a connection broke; where those do not get
        through, the order is asked for every `poll_seconds` and, while nothing changes, less
        and less often. `after` is the id of the last event seen (0: from the beginning).
        """
        watch = OrderWatch(
            self._api,
            order_id,
            backoff=self._backoff,
            stop=self._stop,
            poll_seconds=poll_seconds,
        )
        return watch.events(after)

    def link(self, order_id: int) -> str:
        """A fresh link to the order's ZIP; it authorises itself.

        Raises Denied while there is nothing to download yet, or no right to it any more, and
        OrderEnded where there never will be.
        """
        return self._link_of(self.show(order_id))

    def download(
        self,
        order_id: int,
        folder: str | Path,
        *,
        name: str | None = None,
        verify: bool = True,
        watcher: Watcher | None = None,
    ) -> Downloaded:
        """Bring the order's ZIP into `folder`, under the order's name for it or `name`.

        A part that an earlier call left there is gone on with, if the ZIP is still the same;
        else it starts anew. With `verify` each file in it is checked against the manifest
        before the ZIP is put in place. One that is there already and right is left alone.
        """
        order = self.show(order_id)
        links = [self._link_of(order)]
        location = order.get("download_location")
        given = location.get("title") if isinstance(location, dict) else None
        target = Path(folder) / safe_name(name or given or f"order-{order_id}.zip")
        expected = Expected(self._size(links[0]))
        check = OrderZipCheck(int(order_id), self._stop) if verify else None
        strength = "sha256" if verify else "size"
        if check is not None and is_right(target, expected, check):
            return Downloaded(target, target.stat().st_size, strength, True, 0.0)
        done = download(
            lambda: links.pop() if links else self.link(order_id),
            target,
            expected,
            Conditions(self._api.times, self._backoff, self._stop),
            watcher,
            check,
            mark=f"order-{order_id}",
        )
        return Downloaded(done.path, done.size, strength, done.skipped, done.seconds)

    def _wished(self, asset: str, every: Wishes, groups: Mapping[str, Wishes]) -> Wishes:
        """What is wished of one asset; its group is asked for only where that matters."""
        if not groups:
            return every
        by_group = {known_group(name): wishes for name, wishes in groups.items()}
        group = find_asset(self._api, asset).get("media_group")
        href = str(group.get("href", "")) if isinstance(group, dict) else ""
        own = by_group.get(href.rpartition(GROUP_PREFIX)[2], Wishes())
        return every + own

    def _order(self, method: str, order_id: int, *parts: str, again: bool = True) -> JsonObject:
        path, refuse = order_path(order_id, *parts), of_order(order_id)
        return parse_object(self._api.call(method, path, again=again, refuse=refuse).body)

    def _page(
        self, path: Sequence[str], skip: int, take: int, refuse: _Refuse = refusal
    ) -> JsonObject:
        query = {"skip": str(skip), "take": str(take)}
        return parse_object(self._api.call("GET", path, query, refuse=refuse).body)

    def _all(self, path: Sequence[str], refuse: _Refuse = refusal) -> Iterator[JsonObject]:
        skip = 0
        while True:
            page = self._page(path, skip, TAKE, refuse)
            items = _items(page)
            yield from items
            skip += len(items)
            if not items or not page.get("next"):
                return

    def _link_of(self, order: JsonObject) -> str:
        location, status = order.get("download_location"), order.get("status")
        href = location.get("href") if isinstance(location, dict) else None
        if isinstance(href, str) and href:
            return parse_link(href, self._api.base).url
        number = order.get("order_id")
        told = str(order.get("additional_info") or "")
        if status == "Expired":
            raise OrderEnded(f"Order {number} has expired.", remedy="Place it again.")
        if status in ("Failed", "Cancelled"):
            helps = (
                f"Go on with it: entrepot order retry {number}"
                if status == "Cancelled"
                else f"See why, and what helps: entrepot order watch {number}"
            )
            raise OrderEnded(
                f"Order {number} has nothing to download: {status}. {told}".rstrip(), remedy=helps
            )
        if status in ENDED:
            raise Denied(
                f"The right to something in order {number} has ended.",
                remedy="Order anew what you may still have.",
            )
        raise Denied(
            f"Order {number} is not ready yet: {status}.",
            remedy=f"Wait for it: entrepot order watch {number}",
        )

    def _size(self, link: str) -> int | None:
        """The size of the ZIP by HEAD, None where that tells nothing: the transfer then says
        what is wrong. No token is known here.
        """
        address = parse_link(link, self._api.base)
        connection = Connection(address, self._api.times)
        try:
            response = connection.send("HEAD", address, {"Accept": "*/*"})
            length = response.headers.get("Content-Length", "")
            told = response.status == 200 and length.isascii() and length.isdigit()
            return int(length) if told else None
        except Unreachable:
            return None
        finally:
            connection.close()


def _job(order_id: int) -> tuple[str, ...]:
    return ("api", "jobs", str(order_id))


def _items(page: JsonObject) -> _JsonObjects:
    return _objects(page.get("items"))


def _objects(found: Any) -> _JsonObjects:
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise BadAnswer("The hub's answer is not a list of objects.")
    return found
