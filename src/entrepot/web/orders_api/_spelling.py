"""From what the core knows of orders to the objects of the contract."""

from collections.abc import Sequence
from urllib.parse import quote

from entrepot.core.catalogue import title_in
from entrepot.core.delivery import IssuedLink
from entrepot.core.orders import JobView, OrderView, Person, remedy_of
from entrepot.core.orders import Target as FrozenAsset
from entrepot.kit.text import format_instant
from entrepot.web.orders_api._hrefs import ORDERS, ROOT, Hrefs
from entrepot.web.orders_api._wire import (
    Job,
    JobError,
    Link,
    Order,
    OrderList,
    Progress,
    Target,
    TargetList,
    User,
)

DL = "/dl/"


RIGHT_ENDED = (
    "There is nothing to download now: the right to some of these assets has ended since the"
    " order was placed. Place it again for what you may still have."
)
EXPIRED = "The time to download it is over. Place the order again."


def order(
    hrefs: Hrefs, view: OrderView, link: IssuedLink | None, *, ended: str | None = None
) -> Order:
    """An order, with the link to its ZIP where there is one, or `ended`: why there is none now."""
    return Order(
        order_id=view.id,
        name=view.name,
        target_count=view.target_count,
        has_conversions=view.has_conversions,
        created_by=_person(hrefs, view.created_by),
        created_on=format_instant(view.created_at),
        modified_by=_person(hrefs, view.modified_by),
        modified_on=format_instant(view.modified_at),
        status=view.status,
        download_location=None if link is None else hrefs.link(DL + link.path, view.zip_file_name),
        additional_info=" ".join(filter(None, (view.additional_info, ended))) or None,
        external_job_reference=hrefs.job(view.id),
        targets=hrefs.targets(view.id),
        culture=view.culture,
        progress=Progress(
            view.files_total, view.files_completed, view.files_failed, view.bytes_total
        ),
        expires_on=None if view.expires_at is None else format_instant(view.expires_at),
        self=hrefs.order(view.id),
    )


def order_list(hrefs: Hrefs, shown: Sequence[Order], skip: int, take: int, total: int) -> OrderList:
    """A page of orders."""
    around = hrefs.around(ORDERS, skip, take, total)
    return OrderList(
        items=list(shown),
        total_items=total,
        returned_items=len(shown),
        offset=skip,
        next=around.next,
        previous=around.previous,
        identifier="download_orders",
        self=around.self,
    )


def target(hrefs: Hrefs, order_id: int, asset: FrozenAsset) -> Target:
    """One asset of an order."""
    return Target(
        hrefs.entity(asset.asset_id, title_in(asset.title, None)),
        hrefs.target(order_id, asset.asset_id),
    )


def target_list(
    hrefs: Hrefs, order_id: int, found: Sequence[FrozenAsset], skip: int, take: int, total: int
) -> TargetList:
    """A page of an order's assets."""
    around = hrefs.around(f"{ORDERS}/{order_id}/targets", skip, take, total)
    return TargetList(
        items=[target(hrefs, order_id, each) for each in found],
        total_items=total,
        returned_items=len(found),
        offset=skip,
        next=around.next,
        previous=around.previous,
        identifier="download_order_targets",
        self=around.self,
        order=hrefs.order(order_id),
    )


def job(hrefs: Hrefs, view: JobView) -> Job:
    """The work behind an order."""
    return Job(
        job_id=view.order_id,
        state=view.state,
        condition=view.condition,
        started_on=None if view.started_at is None else format_instant(view.started_at),
        completed_on=None if view.completed_at is None else format_instant(view.completed_at),
        file_count=view.files_total,
        files_completed=view.files_completed,
        files_failed=view.files_failed,
        errors=[
            JobError(
                each.asset_id,
                each.identifier,
                each.rendition,
                each.code,
                each.message,
                remedy_of(each.code),
            )
            for each in view.errors
        ],
        order=hrefs.order(view.order_id),
        self=hrefs.job(view.order_id),
    )


def user(hrefs: Hrefs, person: Person) -> User:
    """Somebody of the caller's organisation."""
    return User(
        id=person.reference,
        display_name=person.display_name,
        organisation=person.organisation_name,
        self=_person(hrefs, person),
    )


def _person(hrefs: Hrefs, person: Person) -> Link:
    path = f"{ROOT}/users/{quote(person.reference, safe=':')}"
    return hrefs.link(path, person.display_name)
