"""Placing an order: freeze what is ordered, decide what becomes of it, check that it can be.

All of it is one transaction, so an accepted order is whole, and its job (which the door
enqueues in the same one) is never missing.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select

from entrepot.core.accounts import Principal
from entrepot.core.catalogue import find_asset
from entrepot.core.conversions.recipes import Recipe, recipe_to_document
from entrepot.core.conversions.rules import METADATA_RECIPE, MediaRules
from entrepot.core.entitlements import permitted_asset
from entrepot.core.orders.freezing import Frozen, freeze, kinds_of
from entrepot.core.orders.outputs import Choice, Compiled
from entrepot.core.orders.planning import ORDER_FILES_MAX, make_plan, plan_some
from entrepot.core.orders.progress import is_settled
from entrepot.core.orders.requests import OrderRequest
from entrepot.core.orders.states import OPEN, PENDING, change_order, tell
from entrepot.core.orders.tables import order_files, order_recipes, orders
from entrepot.db import Tx
from entrepot.errors import Invalid, NotFound, TooMany, Unavailable

INLINE_TARGETS_MAX = 1_000  # planned while the caller waits; more of them is a job's work
OPEN_ORDERS_MAX = 1_000  # of one organisation
BUILD_ORDER = "build_order"  # the job that an OrderJob is about, as the engine knows it
_MARKS = ("Images", "Vectors")


@dataclass(frozen=True, slots=True)
class OrderJob:
    """The job that an order needs: what the door hands to the engine.

    `partition` is the customer, for fair shares; a lower `priority` comes first among the jobs
    of one customer.
    """

    order_id: int
    generation: int
    job_id: str
    partition: str
    priority: int


@dataclass(frozen=True, slots=True)
class PlacedOrder:
    """An accepted order. Without a job it is planned and settled: complete it right away."""

    order_id: int
    job: OrderJob | None


def job_of(order_id: int, generation: int, organisation_id: int, priority: int) -> OrderJob:
    """The job for one generation of an order; the same one whenever it is asked for."""
    job_id = f"order-{order_id}-{generation}"
    return OrderJob(order_id, generation, job_id, str(organisation_id), priority)


def place_order(
    tx: Tx,
    who: Principal,
    request: OrderRequest,
    *,
    rules: MediaRules,
    conversions_on: bool = True,
    lives_days: int = 30,
    embargoed: Sequence[str] = (),
    ahead: Compiled | None = None,
    now: datetime,
) -> PlacedOrder:
    """Accept the order; every part that cannot be done is refused by the path of its key.

    What is selected and by now deleted or not permitted is left out and counted. What is named
    in `individual` must be there: Invalid otherwise, Denied where a condition of the caller's
    right fails now. Unavailable (`conversions-off`): something would have to be converted and
    this hub cannot. TooMany: the organisation has 1,000 unfinished orders. `ahead`: what
    `compile_ahead` gave for the request, so that this transaction is short.
    """
    require_room(tx, who)
    resolver = rules.resolver(request.resolver_id)
    order_id = _insert_order(tx, who, request, resolver.id, lives_days, now)
    frozen = freeze(tx, who, order_id, request, embargoed=embargoed, now=now)
    watermarks = Watermark(tx, who, embargoed, now)
    choice = Choice(
        rules, request, watermarks=watermarks, conversions_on=conversions_on, ahead=ahead
    )
    plan = _plan(choice, frozen)
    _write_recipes(tx, order_id, plan.recipes, watermarks)
    job = job_of(order_id, 1, who.organisation_id, priority_of(plan.files))
    values: dict[str, Any] = {
        "zip_file_name": request.zip_file_name or f"order-{order_id}.zip",
        "plan": plan.document,
        "target_count": frozen.targets,
        "left_out": frozen.left_out,
        "files_total": plan.files,
        "product_ids": sorted(watermarks.product_ids.union(frozen.product_ids)),
        "priority": job.priority,
        "job_id": job.job_id,
    }
    change_order(tx, order_id, values, states=(PENDING,), actor=who.label, now=now)
    if frozen.targets <= INLINE_TARGETS_MAX:
        plan_some(tx, order_id, take=frozen.targets, now=now)
    settled = is_settled(tx, order_id)
    if not (settled or conversions_on) and plan.recipes.keys() - {METADATA_RECIPE.key}:
        raise _conversions_off()
    if settled:
        values = {"job_id": None, "files_completed": plan.files}
    row = change_order(tx, order_id, values, states=(PENDING,), actor=who.label, now=now)
    tell(tx, row, "placed", actor=who.label, now=now, targets=frozen.targets)
    return PlacedOrder(order_id, None if settled else job)


def compile_ahead(tx: Tx, who: Principal, request: OrderRequest) -> Compiled:
    """Compile the request's own pipelines, in a transaction that only reads.

    For the assets as they are now: `place_order` makes good what has changed since.
    """
    compiled = Compiled()
    if not request.has_conversions:
        return compiled
    singles, kinds = kinds_of(tx, who, request)
    for configuration, kind in singles:
        compiled.add(configuration, kind)
    for kind in kinds:
        if (of_group := request.groups.get(kind.media_group)) is not None:
            compiled.add(of_group, kind)
    return compiled


def require_room(tx: Tx, who: Principal) -> None:
    """TooMany where the organisation has as many unfinished orders as it may."""
    unfinished = (
        select(orders.c.id)
        .where(orders.c.organisation_id == who.organisation_id, orders.c.status.in_(OPEN))
        .limit(OPEN_ORDERS_MAX)
        .subquery()
    )
    if tx.execute(select(func.count()).select_from(unfinished)).scalar_one() >= OPEN_ORDERS_MAX:
        raise TooMany(
            f"Your organisation has {OPEN_ORDERS_MAX} unfinished orders, the most there can be.",
            code="orders-full",
            remedy="Wait until some are done, or cancel some.",
        )


def _insert_order(
    tx: Tx,
    who: Principal,
    request: OrderRequest,
    resolver_id: str,
    lives_days: int,
    now: datetime,
) -> int:
    values: dict[str, Any] = {
        "principal": who.label,
        "user_id": who.user_id,
        "api_client_id": who.api_client_id,
        "organisation_id": who.organisation_id,
        "country": who.country,
        "name": request.name,
        "zip_file_name": "",
        "type": request.type,
        "culture": request.culture,
        "resolver_id": resolver_id,
        "request": request.document,
        "plan": {},
        "status": PENDING,
        "planned": False,
        "planned_to": 0,
        "generation": 1,
        "priority": 0,
        "has_conversions": request.has_conversions,
        "target_count": 0,
        "left_out": 0,
        "files_total": 0,
        "files_completed": 0,
        "files_failed": 0,
        "bytes_total": 0,
        "product_ids": [],
        "created_at": now,
        "modified_at": now,
        "modified_by": who.label,
        "lives_days": lives_days,
    }
    return int(tx.execute(insert(orders).returning(orders.c.id), values).scalar_one())


class Watermark:
    """Looks up the pictures that recipes mark others with: `outputs.Watermarks`."""

    def __init__(self, tx: Tx, who: Principal, embargoed: Sequence[str], now: datetime) -> None:
        self._tx = tx
        self._who = who
        self._embargoed = embargoed
        self._now = now
        self._known: dict[tuple[str, bool], str] = {}
        # By the picture's digest: whose entitlements gave it to the caller.
        self.lenders: dict[str, set[int]] = {}

    @property
    def product_ids(self) -> frozenset[int]:
        """Whose entitlements gave the caller these pictures."""
        return frozenset().union(*self.lenders.values())

    def product_ids_of(self, recipe: Recipe) -> list[int]:
        """Whose entitlements gave the caller the pictures of this recipe."""
        lent = (self.lenders.get(sha256, set()) for sha256 in recipe.watermark_sha256s)
        return sorted(set().union(*lent))

    def __call__(self, reference: str, field: str, own: bool) -> str:
        """The digest of the picture's file; Invalid where it is none, or not the caller's."""
        if (reference, own) not in self._known:
            self._known[reference, own] = self._find(reference, field, own)
        return self._known[reference, own]

    def _find(self, reference: str, field: str, own: bool) -> str:
        try:
            found: Any = (
                find_asset(self._tx, reference)
                if own
                else permitted_asset(
                    self._tx, self._who, reference, embargoed=self._embargoed, now=self._now
                )
            )
        except NotFound as error:
            raise Invalid(
                f"There is no asset {reference!r} to use as a watermark, or it is not yours.",
                field=field,
                code="assets-unknown",
            ) from error
        if found.media_group not in _MARKS:
            raise Invalid(
                f"The asset {reference!r} is no picture and cannot be a watermark.",
                field=field,
                code="conversion-impossible",
            )
        if not own and found.product_id is not None:
            self.lenders.setdefault(found.sha256, set()).add(found.product_id)
        return str(found.sha256)


@dataclass(frozen=True, slots=True)
class _Plan:
    document: dict[str, Any]
    recipes: Mapping[str, Recipe]  # by key
    files: int


def _plan(choice: Choice, frozen: Frozen) -> _Plan:
    by_kind = Counter(frozen.kinds)
    by_kind.subtract(one.kind for one in frozen.singles)
    # Only for the assets that have no configuration of their own: it replaces the group's.
    kinds = {kind: choice.for_kind(kind) for kind, count in by_kind.items() if count}
    singles = [(one, choice.for_asset(one.configuration, one.kind)) for one in frozen.singles]
    choice.check()
    files = sum(by_kind[kind] * len(outputs) for kind, outputs in kinds.items())
    files += sum(len(outputs) for _, outputs in singles)
    if not files:
        raise Invalid(
            "Nothing would be delivered: no rendition, preset or conversion is configured for "
            "any of the ordered assets.",
            field="order.global",
            code="order-empty",
        )
    if files > ORDER_FILES_MAX:
        raise Invalid(
            f"The order would have {files} files, and {ORDER_FILES_MAX} are the most.",
            field="order",
            code="order-too-large",
        )
    outputs = [*kinds.values(), *(each for _, each in singles)]
    recipes = [output.recipe for each in outputs for output in each if output.recipe]
    return _Plan(
        make_plan(kinds, [(one.asset_id, each) for one, each in singles]),
        {recipe.key: recipe for recipe in recipes},
        files,
    )


def _write_recipes(
    tx: Tx, order_id: int, recipes: Mapping[str, Recipe], watermarks: Watermark
) -> None:
    """The recipes, and rows that hold the bytes of the watermarks in them."""
    rows = [
        {
            "order_id": order_id,
            "recipe_key": key,
            "recipe": recipe_to_document(recipe),
            "product_ids": watermarks.product_ids_of(recipe),
        }
        for key, recipe in recipes.items()
    ]
    if rows:
        tx.execute(insert(order_recipes), rows)
    marks = {sha256 for recipe in recipes.values() for sha256 in recipe.watermark_sha256s}
    if marks:
        tx.execute(
            insert(order_files),
            [
                {"order_id": order_id, "name": f"watermark {sha256}", "sha256": sha256}
                for sha256 in sorted(marks)
            ],
        )


def priority_of(files: int) -> int:
    """Small orders come before large ones of the same customer: 2 below ten files, ... 7."""
    return 1 + len(str(files))


def _conversions_off() -> Unavailable:
    return Unavailable(
        "This hub converts nothing at present.",
        code="conversions-off",
        remedy="Order the files as they are (downloadOriginal), or ask the operator of this hub.",
        retry_after_seconds=3600,
    )
