"""Webhooks: subscriptions of every organisation, their deliveries, and what became of them."""

from collections.abc import Callable
from typing import Any

from litestar.openapi.spec import Schema
from litestar.openapi.spec.enums import OpenAPIType

from entrepot.assembly import Hub
from entrepot.core.webhooks import (
    STATES,
    WebhookSpec,
    add_webhook_for,
    change_webhook,
    check_webhook,
    disable_webhook,
    enable_webhook,
    find_delivery,
    find_webhook,
    list_attempts,
    list_deliveries,
    list_webhooks,
    ping_webhook,
    redeliver,
    remove_webhook,
    rotate_secret,
)
from entrepot.db import Tx
from entrepot.errors import Invalid, NotFound
from entrepot.kit.ids import parse_number
from entrepot.web.admin_api._actions import (
    OF_ORGANISATION,
    PUBLISHING,
    Action,
    AnyAction,
    Call,
    Outcome,
    query_parameter,
)
from entrepot.web.admin_api._owners import owner_named, owner_wanted
from entrepot.web.admin_api._wire import fill
from entrepot.web.admin_api._wire_webhooks import (
    AttemptItem,
    DeliveryDetails,
    DeliveryItem,
    DeliveryPage,
    NewWebhook,
    WebhookChange,
    WebhookItem,
    WebhookPage,
    WebhookSecret,
)

_TAG = "webhooks"
_ONE = "/webhooks/{webhook:str}"
_DELIVERY = f"{_ONE}/deliveries/{{delivery:str}}"
_BY_HAND = "Disabled by an operator."
_STATE = query_parameter(
    "state", "Only in this state.", schema=Schema(type=OpenAPIType.STRING, enum=list(STATES))
)


def webhook_actions(hub: Hub) -> list[AnyAction]:
    """The operations on webhooks."""
    box, private = hub.keys.box, hub.policy.outbound_private

    def check(body: Any) -> Any:
        check_webhook(
            url=body.url, patterns=body.events, description=body.description, private=private
        )
        return body

    def add(tx: Tx, call: Call[NewWebhook]) -> Outcome:
        new = call.body
        owner = call.who.organisation_id
        if new.organisation is not None:
            owner = owner_named(tx, new.organisation).id
        made = add_webhook_for(
            tx,
            box,
            owner,
            WebhookSpec(new.url, new.events, new.description),
            everything=new.everything,
            actor=call.actor,
            now=call.now,
        )
        return Outcome(WebhookSecret(made.id, made.secret), f"/webhooks/{made.id}")

    def rotate(tx: Tx, call: Call[None]) -> Outcome:
        made = rotate_secret(tx, box, _number(call), actor=call.actor, now=call.now)
        return Outcome(WebhookSecret(made.id, made.secret))

    return [
        Action(
            _TAG,
            "POST",
            "/webhooks",
            "addWebhook",
            "Subscribe to events; the secret is shown this once",
            PUBLISHING,
            add,
            status=201,
            answer=WebhookSecret,
            body=NewWebhook,
            beforehand=check,
            conflicts=True,
        ),
        Action(
            _TAG,
            "PATCH",
            _ONE,
            "changeWebhook",
            "Change what is given of a webhook",
            PUBLISHING,
            _change,
            answer=WebhookItem,
            body=WebhookChange,
            beforehand=check,
        ),
        Action(
            _TAG,
            "POST",
            f"{_ONE}/rotation",
            "rotateWebhookSecret",
            "Make a new secret; for a day the former one signs beside it",
            PUBLISHING,
            rotate,
            answer=WebhookSecret,
        ),
        *_ACTIONS,
    ]


def _number(call: Call[Any]) -> int:
    number = parse_number(call.ids["webhook"])
    if number is None:
        raise NotFound(f"There is no webhook {call.ids['webhook'][:40]!r}.")
    return number


def _item(tx: Tx, number: int) -> WebhookItem:
    return fill(WebhookItem, find_webhook(tx, number))


def _list(tx: Tx, call: Call[None]) -> Outcome:
    found, total = list_webhooks(
        tx, organisation_id=owner_wanted(tx, call), skip=call.rows.skip, take=call.rows.take
    )
    return Outcome(WebhookPage(total, [fill(WebhookItem, row) for row in found]))


def _show(tx: Tx, call: Call[None]) -> Outcome:
    return Outcome(_item(tx, _number(call)))


def _change(tx: Tx, call: Call[WebhookChange]) -> Outcome:
    said, number = call.body, _number(call)
    change_webhook(
        tx,
        number,
        url=said.url,
        patterns=said.events,
        description=said.description,
        actor=call.actor,
        now=call.now,
    )
    return Outcome(_item(tx, number))


def _remove(tx: Tx, call: Call[None]) -> Outcome:
    remove_webhook(tx, _number(call), actor=call.actor, now=call.now)
    return Outcome()


def _set_disabled(*, disabled: bool) -> Callable[[Tx, Call[None]], Outcome]:
    def verb(tx: Tx, call: Call[None]) -> Outcome:
        if disabled:
            disable_webhook(tx, _number(call), why=_BY_HAND, actor=call.actor, now=call.now)
        else:
            enable_webhook(tx, _number(call), actor=call.actor, now=call.now)
        return Outcome()

    return verb


def _ping(tx: Tx, call: Call[None]) -> Outcome:
    return Outcome(
        fill(DeliveryItem, ping_webhook(tx, _number(call), actor=call.actor, now=call.now))
    )


def _deliveries(tx: Tx, call: Call[None]) -> Outcome:
    number, state = _number(call), call.query.get("state")
    if state is not None and state not in STATES:
        raise Invalid(f"state is one of {', '.join(STATES)}.", field="state")
    find_webhook(tx, number)
    found, total = list_deliveries(
        tx, number, state=state, skip=call.rows.skip, take=call.rows.take
    )
    return Outcome(DeliveryPage(total, [fill(DeliveryItem, row) for row in found]))


def _delivery(tx: Tx, call: Call[None]) -> Outcome:
    row = find_delivery(tx, call.ids["delivery"], webhook_id=_number(call))
    log = [fill(AttemptItem, each) for each in list_attempts(tx, row.id)]
    return Outcome(fill(DeliveryDetails, row, log=log))


def _redeliver(tx: Tx, call: Call[None]) -> Outcome:
    redeliver(tx, call.ids["delivery"], webhook_id=_number(call), actor=call.actor, now=call.now)
    return Outcome()


_ACTIONS: tuple[AnyAction, ...] = (
    Action(
        _TAG,
        "GET",
        "/webhooks",
        "listWebhooks",
        "List webhooks by number, of all organisations or of one",
        PUBLISHING,
        _list,
        answer=WebhookPage,
        filters=(OF_ORGANISATION,),
        paged=True,
    ),
    Action(
        _TAG, "GET", _ONE, "showWebhook", "Show a webhook", PUBLISHING, _show, answer=WebhookItem
    ),
    Action(
        _TAG,
        "DELETE",
        _ONE,
        "removeWebhook",
        "End a webhook for good, with its deliveries",
        PUBLISHING,
        _remove,
        status=204,
    ),
    Action(
        _TAG,
        "POST",
        f"{_ONE}/ping",
        "pingWebhook",
        "Have a test event sent, whatever the webhook asks for",
        PUBLISHING,
        _ping,
        answer=DeliveryItem,
        conflicts=True,
    ),
    Action(
        _TAG,
        "POST",
        f"{_ONE}/disable",
        "disableWebhook",
        "Deliver nothing any more; what waits is kept",
        PUBLISHING,
        _set_disabled(disabled=True),
        status=204,
    ),
    Action(
        _TAG,
        "POST",
        f"{_ONE}/enable",
        "enableWebhook",
        "Deliver again, beginning with what waited",
        PUBLISHING,
        _set_disabled(disabled=False),
        status=204,
    ),
    Action(
        _TAG,
        "GET",
        f"{_ONE}/deliveries",
        "listDeliveries",
        "List what was, is and will be sent to a webhook, newest first",
        PUBLISHING,
        _deliveries,
        answer=DeliveryPage,
        filters=(_STATE,),
        paged=True,
    ),
    Action(
        _TAG,
        "GET",
        _DELIVERY,
        "showDelivery",
        "Show a delivery with its body and every attempt",
        PUBLISHING,
        _delivery,
        answer=DeliveryDetails,
    ),
    Action(
        _TAG,
        "POST",
        f"{_DELIVERY}/redeliver",
        "redeliver",
        "Send a delivery once more, under the same id",
        PUBLISHING,
        _redeliver,
        status=204,
    ),
)
