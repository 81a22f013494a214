"""Where the resources of this dialect are: absolute URLs under the hub's public one."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from entrepot.web.orders_api._wire import Link

ROOT = "/api"
ORDERS = "/api/downloadorders"
ORDER = "/api/downloadorders/{order_id:str}"
ROUTES = {
    "download_orders": "/api/downloadorders{?skip,take}",
    "download_orders_by_id": "/api/downloadorders/{id}",
    "download_order_targets": "/api/downloadorders/{orderId}/targets{?skip,take}",
    "download_order_target_by_id": "/api/downloadorders/{orderId}/targets/{entityId}",
    "download_order_events": "/api/downloadorders/{id}/events",
    "download_order_retry": "/api/downloadorders/{id}/retry",
    "selection": "/api/selection/{selectionPool}/{definitionName}{?subPoolId,skip,take}",
    "selection_pool": "/api/selection/{selectionPool}{?definitionNames,subPoolId}",
    "entities": "/api/entities{?skip,take,mediaGroup}",
    "entity_by_id": "/api/entities/{id}",
    "entity_renditions": "/api/entities/{id}/renditions",
    "entity_rendition": "/api/entities/{id}/renditions/{name}",
    "media_groups": "/api/mediagroups",
    "renditions": "/api/renditions",
    "presets": "/api/presets",
    "item_name_resolvers": "/api/itemnameresolvers",
    "job_by_id": "/api/jobs/{id}",
    "user_by_id": "/api/users/{id}",
}


@dataclass(frozen=True, slots=True)
class Hrefs:
    """Links under `public_url`, which has no slash at its end."""

    public_url: str

    def link(self, path: str, title: str | None = None) -> Link:
        """A link to `path`, which begins with a slash."""
        return Link(self.public_url + path, title)

    def order(self, order_id: int) -> Link:
        """One order."""
        return self.link(f"{ORDERS}/{order_id}", "The order.")

    def targets(self, order_id: int) -> Link:
        """The assets of an order."""
        return self.link(f"{ORDERS}/{order_id}/targets", "The assets of the order.")

    def target(self, order_id: int, asset_id: int) -> Link:
        """One asset of an order."""
        return self.link(f"{ORDERS}/{order_id}/targets/{asset_id}")

    def job(self, order_id: int) -> Link:
        """The work behind an order."""
        return self.link(f"{ROOT}/jobs/{order_id}", "The work behind the order.")

    def entity(self, asset_id: int, title: str | None = None) -> Link:
        """An asset."""
        return self.link(f"{ROOT}/entities/{asset_id}", title)

    def renditions(self, asset_id: int) -> Link:
        """The renditions of an asset."""
        return self.link(f"{ROOT}/entities/{asset_id}/renditions", "The renditions of the asset.")

    def rendition(self, asset_id: int, name: str, file_name: str) -> Link:
        """One rendition of an asset, that is its file."""
        path = f"{ROOT}/entities/{asset_id}/renditions/{quote(name, safe=':')}"
        return self.link(path, file_name)

    def selection(self, pool: str, definition_name: str, sub_pool_id: int) -> Link:
        """One selection."""
        path = f"{ROOT}/selection/{quote(pool, safe='')}/{quote(definition_name, safe='')}"
        query = {"subPoolId": sub_pool_id} if sub_pool_id else {}
        return self.link(_with(path, query))

    def around(
        self, path: str, skip: int, take: int, total: int, **more: str | int | None
    ) -> "Around":
        """A page of a list, and its neighbours."""
        given = {name: value for name, value in more.items() if value is not None}

        def page(first: int) -> Link:
            return self.link(_with(path, {"skip": first, "take": take, **given}))

        before = page(max(min(skip, total) - take, 0)) if skip else None
        return Around(page(skip), page(skip + take) if skip + take < total else None, before)

    def template(self, template: str) -> Link:
        """A URI template (RFC 6570), or a plain URL where it has nothing to fill in."""
        return Link(self.public_url + template, None, "{" in template)


@dataclass(frozen=True, slots=True)
class Around:
    """Links to a page, the one after it and the one before it; none at the ends."""

    self: Link
    next: Link | None
    previous: Link | None


def _with(path: str, query: Mapping[str, str | int]) -> str:
    return f"{path}?{urlencode(query)}" if query else path
