"""Webhooks below the doors: who hears what, what is signed, when it is tried again."""

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from entrepot.core import accounts, webhooks
from entrepot.core.accounts import Principal, SecretBox
from entrepot.core.events import Event, record
from entrepot.core.events.tables import events
from entrepot.core.webhooks import Attempted, Outgoing, WebhookSpec
from entrepot.core.webhooks.delivering import ATTEMPTS_MAX, FAILING_DAYS_MAX
from entrepot.core.webhooks.patterns import hears_everything
from entrepot.core.webhooks.tables import attempts, deliveries
from entrepot.core.webhooks.tables import webhooks as table
from entrepot.db import Database, Tx
from entrepot.errors import Conflict, Denied, Invalid, NotFound
from tests import factories
from tests.factories import DAY, NOW, OPERATOR

BOX = SecretBox("T3st-0nly-secret.T3st-0nly-secret.42")
URL = "https://receiver.example.com/in?from=hub"
OK = Attempted(204, "", 12, NOW)
REFUSED = Attempted(500, "The receiver answered 500.", 12, NOW)


def subscribe(
    tx: Tx, *patterns: str, organisation: int = 0, everything: bool = False, now: datetime = NOW
) -> webhooks.NewWebhook:
    """A webhook as the operator makes it."""
    owner = organisation or factories.add_organisation(tx)
    spec = WebhookSpec(URL, patterns or ("*",))
    return webhooks.add_webhook_for(
        tx, BOX, owner, spec, everything=everything, actor=OPERATOR, now=now
    )


def machine(
    tx: Tx, *scopes: str, roles: Sequence[str] = ("customer",), organisation: int = 0
) -> Principal:
    """An API client with these scopes and roles."""
    new = accounts.add_client(
        tx,
        client_id=f"machine-{hashlib.sha256(repr((scopes, roles)).encode()).hexdigest()[:12]}",
        name="A machine",
        organisation_id=organisation or factories.add_organisation(tx),
        roles=roles,
        scopes=scopes,
        actor=OPERATOR,
        now=NOW,
    )
    return accounts.load_client(tx, new.client_id, scopes=scopes)


def planned(database: Database, *, now: datetime = NOW) -> int:
    """What a worker that has just begun makes of the log."""
    return webhooks.Planner(database, lambda: now).plan()


def happen(database: Database, *types: str, organisation: int | None = None) -> None:
    """Events of these types, each in a transaction of its own."""
    for kind in types:
        with database.write() as tx:
            record(tx, Event(kind, "user:7", f"{kind.split('.')[0]}:5", organisation), now=NOW)


def told(database: Database, webhook: int) -> list[str]:
    """The types of the deliveries to a webhook, in the order of the events."""
    with database.read() as tx:
        query = select(deliveries.c.type).where(deliveries.c.webhook_id == webhook)
        return list(tx.execute(query.order_by(deliveries.c.event_id)).scalars())


def claim(tx: Tx, webhook: int, *, now: datetime = NOW) -> Outgoing:
    """The one delivery that is due."""
    [one] = webhooks.claim_deliveries(tx, webhook, take=10, now=now)
    return one


def test_a_subscription_is_refused_where_a_pattern_never_fits(tx: Tx) -> None:
    with pytest.raises(Invalid, match="'order/done'"):
        subscribe(tx, "order/*", "order/done")


def test_an_organisation_alone_hears_nothing_of_the_catalogue(tx: Tx) -> None:
    with pytest.raises(Invalid, match="'product' belong to no organisation"):
        subscribe(tx, "order/*", "product/*")
    assert subscribe(tx, "order/*", "product/*", everything=True).id
    # Who may hear either is told that it takes two webhooks, not that it may not.
    shop = machine(tx, "products", "orders", roles=["publisher"])
    for patterns, told in ((("order/*", "product/*"), "'product'"), (("session/*",), "'session'")):
        with pytest.raises(Denied, match=told) as caught:
            hears_everything(shop, patterns)
        assert "order, product" in caught.value.remedy
        assert "webhooks of their own" in caught.value.remedy


@pytest.mark.parametrize(
    ("scopes", "roles", "patterns", "heard"),
    [
        (["publish"], ["publisher"], ["*"], "everything"),
        (["admin"], ["operator"], ["user/*", "order/*"], "everything"),
        (["products"], ["publisher"], ["product/*", "release/available"], "everything"),
        (["products"], ["publisher"], ["order/*"], "refused"),
        (["products"], ["publisher"], ["*"], "refused"),
        (["products.readonly"], ["publisher"], ["product/*"], "refused"),
        (["products", "orders"], ["publisher"], ["order/completed"], "own"),
        (["products", "orders"], ["publisher"], ["order/*", "product/*"], "refused"),
        (["orders"], ["customer"], ["order/*", "download/completed"], "own"),
        (["orders"], ["customer"], ["entitlement/*"], "refused"),
        (["entitlements"], ["customer"], ["entitlement/*", "licence/accepted", "link/*"], "own"),
        (["products"], ["customer"], ["product/*"], "refused"),
        (["publish"], ["customer"], ["*"], "refused"),
        (["orders"], ["customer"], ["*"], "refused"),
        (["orders", "entitlements"], ["customer"], ["token/*"], "refused"),
    ],
)
def test_who_may_subscribe_to_what(
    tx: Tx, scopes: list[str], roles: list[str], patterns: list[str], heard: str
) -> None:
    who = machine(tx, *scopes, roles=roles)

    def ask() -> bool:
        made = webhooks.add_webhook(tx, BOX, who, WebhookSpec(URL, patterns), now=NOW)
        row = webhooks.find_webhook(tx, made.id, organisation_id=who.organisation_id)
        assert row.api_client_id == who.id
        return bool(row.everything)

    if heard == "refused":
        with pytest.raises(Denied) as caught:
            ask()
        assert caught.value.remedy
    else:
        assert ask() is (heard == "everything")


def test_of_people_only_administrators_subscribe_for_their_organisation(tx: Tx) -> None:
    organisation = factories.add_organisation(tx)
    spec = WebhookSpec(URL, ["order/*"])
    plain = factories.add_user(tx, organisation)
    with pytest.raises(Denied, match="administrator"):
        webhooks.add_webhook(tx, BOX, plain, spec, now=NOW)
    admin = factories.add_user(tx, organisation, roles=["organisation-admin"])
    made = webhooks.add_webhook(tx, BOX, admin, spec, now=NOW)
    # What an operator subscribed to for the organisation is not the administrator's to redirect.
    other = subscribe(tx, "*", organisation=organisation, everything=True)
    for verb in (
        lambda: webhooks.change_webhook(
            tx, other.id, who=admin, url=URL, actor=admin.label, now=NOW
        ),
        lambda: webhooks.rotate_secret(tx, BOX, other.id, who=admin, actor=admin.label, now=NOW),
        lambda: webhooks.remove_webhook(tx, other.id, who=admin, actor=admin.label, now=NOW),
    ):
        with pytest.raises(Denied):
            verb()
    with pytest.raises(NotFound):
        webhooks.find_webhook(tx, made.id, organisation_id=factories.add_organisation(tx))


def test_an_organisation_hears_of_itself_and_staff_of_all(database: Database) -> None:
    with database.write() as tx:
        ours, theirs = factories.add_organisation(tx), factories.add_organisation(tx)
        own = subscribe(tx, "order/*", organisation=ours).id
        every = subscribe(tx, "order/*", "release/*", organisation=theirs, everything=True).id
    happen(database, "order.placed", "order.completed", organisation=ours)
    happen(database, "order.placed", organisation=theirs)
    happen(database, "release.available")
    assert planned(database) == 2 + 4
    assert told(database, own) == ["order/placed", "order/completed"]
    assert told(database, every) == [
        "order/placed",
        "order/completed",
        "order/placed",
        "release/available",
    ]
    assert planned(database) == 0


def test_whoever_heard_everything_hears_nothing_once_the_role_is_gone(database: Database) -> None:
    with database.write() as tx:
        home = factories.add_organisation(tx)
        people = [
            factories.add_user(tx, home, roles=["organisation-admin", "publisher"])
            for _ in range(2)
        ]
        shop = machine(tx, "products", roles=["publisher"], organisation=home)
        spec = WebhookSpec(URL, ["order/*", "release/*"])
        demoted, gone = (webhooks.add_webhook(tx, BOX, each, spec, now=NOW).id for each in people)
        kept = webhooks.add_webhook(tx, BOX, shop, WebhookSpec(URL, ["release/*"]), now=NOW).id
        by_operator = subscribe(tx, "order/*", organisation=home, everything=True).id
    happen(database, "order.placed", organisation=101)
    happen(database, "release.available")
    assert planned(database) == 2 + 2 + 1 + 1
    with database.write() as tx:
        admin = people[0].label
        accounts.set_roles(tx, people[0].id, ["organisation-admin"], actor=OPERATOR, now=NOW)
        accounts.disable_user(tx, people[1].id, actor=OPERATOR, now=NOW)
    happen(database, "order.completed", organisation=101)
    assert planned(database) == 1
    assert told(database, demoted) == told(database, gone) == ["order/placed", "release/available"]
    assert told(database, kept) == ["release/available"]
    assert told(database, by_operator) == ["order/placed", "order/completed"]
    with database.write() as tx:
        row = webhooks.find_webhook(tx, demoted)
        assert row.disabled_at == NOW
        assert row.disabled_why.startswith(f"{admin} made it and may not hear")
        assert webhooks.find_webhook(tx, kept).disabled_at is None
        assert {each.id for each in webhooks.list_due(tx, now=NOW)} == {kept, by_operator}
        # Enabled with the role still gone, it stops again at the next event; with it, it goes on.
        webhooks.enable_webhook(tx, demoted, actor=OPERATOR, now=NOW)
    happen(database, "order.failed", organisation=101)
    assert planned(database) == 1
    with database.write() as tx:
        assert webhooks.find_webhook(tx, demoted).disabled_at == NOW
        accounts.set_roles(tx, people[0].id, ["publisher"], actor=OPERATOR, now=NOW)
        webhooks.enable_webhook(tx, demoted, actor=OPERATOR, now=NOW)
    happen(database, "order.failed", organisation=101)
    assert planned(database) == 2


def test_only_who_may_hear_everything_touches_a_webhook_that_does(tx: Tx) -> None:
    home = factories.add_organisation(tx)
    # Of events that the administrator may hear of, too, as far as they are the organisation's.
    number = subscribe(tx, "order/*", organisation=home, everything=True).id
    admin = factories.add_user(tx, home, roles=["organisation-admin"])
    for verb in (
        lambda: webhooks.change_webhook(
            tx, number, who=admin, patterns=["order/*"], actor=admin.label, now=NOW
        ),
        lambda: webhooks.change_webhook(tx, number, who=admin, url=URL, actor=admin.label, now=NOW),
        lambda: webhooks.rotate_secret(tx, BOX, number, who=admin, actor=admin.label, now=NOW),
        lambda: webhooks.remove_webhook(tx, number, who=admin, actor=admin.label, now=NOW),
    ):
        with pytest.raises(NotFound):
            verb()
    publisher = factories.add_user(tx, home, roles=["publisher"])
    assert webhooks.rotate_secret(
        tx, BOX, number, who=publisher, actor=publisher.label, now=NOW
    ).secret
    webhooks.remove_webhook(tx, number, who=publisher, actor=publisher.label, now=NOW)


def test_a_narrow_token_neither_redirects_nor_narrows_what_it_may_not_hear(tx: Tx) -> None:
    """What waits for a webhook goes to its new address."""
    home = factories.add_organisation(tx)
    number = subscribe(tx, "entitlement/*", organisation=home).id
    narrow = machine(tx, "orders", organisation=home)
    for address in (URL, None):
        with pytest.raises(Denied):
            webhooks.change_webhook(
                tx,
                number,
                who=narrow,
                url=address,
                patterns=["order/*"],
                actor=narrow.label,
                now=NOW,
            )
    assert webhooks.find_webhook(tx, number).events == ["entitlement/*"]


def test_nothing_is_told_of_the_time_before_while_disabled_or_blocked(database: Database) -> None:
    happen(database, "order.placed", organisation=101)
    with database.write() as tx:
        organisation = factories.add_organisation(tx)
        who = machine(tx, "orders", organisation=organisation)
        first = webhooks.add_webhook(tx, BOX, who, WebhookSpec(URL, ["order/*"]), now=NOW).id
        second = subscribe(tx, "order/*", organisation=organisation).id
        webhooks.disable_webhook(tx, second, why="Testing.", actor=OPERATOR, now=NOW)
    assert planned(database) == 0
    happen(database, "order.placed", organisation=organisation)
    assert planned(database) == 1
    with database.write() as tx:
        accounts.disable_client(tx, who.label.removeprefix("client:"), actor=OPERATOR, now=NOW)
        webhooks.enable_webhook(tx, second, actor=OPERATOR, now=NOW)
    happen(database, "order.completed", organisation=organisation)
    assert planned(database) == 1
    with database.write() as tx:
        # What waits for the client's webhook waits on.
        assert [each.id for each in webhooks.list_due(tx, now=NOW)] == [second]
        accounts.block_organisation(tx, organisation, blocked=True, actor=OPERATOR, now=NOW)
        assert webhooks.list_due(tx, now=NOW) == []
    happen(database, "order.failed", organisation=organisation)
    assert planned(database) == 0
    assert (told(database, first), told(database, second)) == (
        ["order/placed"],
        ["order/completed"],
    )


def test_every_event_is_planned_once_by_several_planners(database: Database) -> None:
    with database.write() as tx:
        number = subscribe(tx, "order/*", everything=True).id
    planners = [webhooks.Planner(database, lambda: NOW) for _ in range(3)]
    made = 0
    for _ in range(5):
        happen(database, "order.placed", "order.completed")
        made += sum(each.plan() for each in planners)
    assert made == 10
    assert len(told(database, number)) == 10
    assert planned(database) == 0


@pytest.mark.parametrize("dialect", ["postgresql"])  # SQLite has one writer
def test_an_event_that_commits_behind_younger_ones_is_not_missed(database: Database) -> None:
    """PostgreSQL numbers events when they are written, and shows them when they are committed."""
    with database.write() as tx:
        number = subscribe(tx, "order/*", everything=True).id
    planner = webhooks.Planner(database, lambda: NOW)
    planner.plan()
    with database.write() as slow:
        record(slow, Event("order.placed", "user:7", "order:1"), now=NOW)
        happen(database, "order.completed", "order.failed")
        assert planner.plan() == 2
        assert planner.plan() == 0
        record(slow, Event("order.cancelled", "user:7", "order:1"), now=NOW)
        happen(database, "order.expired")
        assert planner.plan() == 1
    assert planner.plan() == 2
    everything = ["placed", "completed", "failed", "cancelled", "expired"]
    assert told(database, number) == [f"order/{verb}" for verb in everything]
    with pytest.raises(RuntimeError), database.write() as tx:
        record(tx, Event("order.placed", "user:7", "order:1"), now=NOW)
        raise RuntimeError  # a number that nobody will ever have
    happen(database, "order.placed")
    assert (planner.plan(), planner.plan(), planned(database)) == (1, 0, 0)


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_what_was_missing_when_a_worker_died_is_found_by_the_next(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.write() as tx:
        number = subscribe(tx, "order/*", everything=True).id
    with database.write() as slow:
        record(slow, Event("order.placed", "user:7", "order:1"), now=NOW)
        happen(database, "order.completed")
        first = webhooks.Planner(database, lambda: NOW)
        assert first.plan() == 1
    second = webhooks.Planner(database, lambda: NOW)
    assert second.plan() == 1
    assert told(database, number) == ["order/placed", "order/completed"]
    # Nobody lives for so long: what is missing still will never be there.
    with database.write() as slow:
        record(slow, Event("order.placed", "user:7", "order:2"), now=NOW)
        happen(database, "order.completed")
        assert second.plan() == 1
        monkeypatch.setattr("entrepot.core.webhooks.planning.GAP_SECONDS_MAX", 0.0)
        monkeypatch.setattr("entrepot.core.webhooks.planning.KEEP_SECONDS", 0.0)
        assert second.plan() == 0
    assert planned(database) == 0
    happen(database, "order.failed")
    assert planned(database) == 1


def test_a_body_says_what_happened_in_the_same_bytes_for_all(database: Database) -> None:
    with database.write() as tx:
        organisation = factories.add_organisation(tx)
        numbers = [subscribe(tx, organisation=organisation).id for _ in range(2)]
        data = {"files": 3, "text": 'ü "quoted"'}
        event = Event("order.completed", "user:7", "order:5", organisation, data)
        record(tx, event, now=NOW)
    planned(database)
    with database.read() as tx:
        rows = tx.execute(select(deliveries).where(deliveries.c.type == "order/completed")).all()
        number = tx.execute(select(events.c.id).order_by(events.c.id.desc())).scalars().first()
    assert {row.webhook_id for row in rows} == set(numbers)
    [body] = {row.body for row in rows}
    assert len({row.id for row in rows}) == 2
    assert json.loads(body) == {
        "type": "order/completed",
        "timestamp": "2026-06-15T12:00:00.000Z",
        "data": {
            "event": number,
            "subject": "order:5",
            "actor": "user:7",
            "organisation": organisation,
            "request_id": None,
            "details": data,
        },
    }


def signatures(key: str, sent: Outgoing, headers: dict[str, str]) -> str:
    """As a receiver computes it, from the specification alone."""
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + sent.body
    raw = base64.b64decode(key.removeprefix("whsec_"))
    return "v1," + base64.b64encode(hmac.new(raw, content, hashlib.sha256).digest()).decode()


def test_deliveries_are_signed_and_for_a_day_with_the_former_secret_too(tx: Tx) -> None:
    made = subscribe(tx)
    assert made.secret.startswith("whsec_")
    assert len(base64.b64decode(made.secret.removeprefix("whsec_"))) == 32
    [stored] = tx.execute(select(table.c.secret)).scalars()
    assert made.secret not in stored
    webhooks.ping_webhook(tx, made.id, actor=OPERATOR, now=NOW)
    sent = claim(tx, made.id)
    headers = dict(sent.headers(BOX, now=NOW))
    assert headers["webhook-id"] == sent.id
    assert headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert headers["webhook-signature"] == signatures(made.secret, sent, headers)
    legacy = hmac.new(made.secret.encode(), sent.body, hashlib.sha256).digest()
    assert headers[webhooks.LEGACY_HEADER] == base64.b64encode(legacy).decode()

    anew = webhooks.rotate_secret(tx, BOX, made.id, actor=OPERATOR, now=NOW)
    assert anew.secret != made.secret
    for hours, secrets in ((23.9, [anew.secret, made.secret]), (24, [anew.secret])):
        now = NOW + timedelta(hours=hours)
        sent = claim(tx, made.id, now=now)
        headers = dict(sent.headers(BOX, now=now))
        expected = " ".join(signatures(secret, sent, headers) for secret in secrets)
        assert headers["webhook-signature"] == expected
        webhooks.hand_back(tx, [sent.id], now=now)


def test_an_assertion_key_of_the_client_signs_the_dialects_header(tx: Tx) -> None:
    who = machine(tx, "orders")
    key = "an application's own key"
    clients = accounts.find_client(tx, who.label.removeprefix("client:"))
    from entrepot.core.accounts.tables import api_clients

    tx.execute(
        api_clients.update()
        .where(api_clients.c.id == clients.id)
        .values(assertion_key=BOX.seal(key.encode()))
    )
    made = webhooks.add_webhook(tx, BOX, who, WebhookSpec(URL, ["order/*"]), now=NOW)
    webhooks.ping_webhook(tx, made.id, actor=OPERATOR, now=NOW)
    sent = claim(tx, made.id)
    headers = dict(sent.headers(BOX, now=NOW))
    expected = base64.b64encode(hmac.new(key.encode(), sent.body, hashlib.sha256).digest())
    assert headers[webhooks.LEGACY_HEADER] == expected.decode()
    assert headers["webhook-signature"] == signatures(made.secret, sent, headers)


def test_what_is_claimed_is_not_claimed_again_until_its_time_is_over(tx: Tx) -> None:
    made = subscribe(tx)
    ids = {webhooks.ping_webhook(tx, made.id, actor=OPERATOR, now=NOW).id for _ in range(3)}
    [due] = webhooks.list_due(tx, now=NOW)
    assert (due.id, due.failing) == (made.id, False)
    first = webhooks.claim_deliveries(tx, made.id, take=2, now=NOW)
    rest = webhooks.claim_deliveries(tx, made.id, take=2, now=NOW)
    assert {each.id for each in (*first, *rest)} == ids
    assert webhooks.list_due(tx, now=NOW) == []
    later = NOW + timedelta(seconds=webhooks.CLAIM_SECONDS)
    assert webhooks.CLAIM_SECONDS > webhooks.ATTEMPT_SECONDS_MAX
    assert len(webhooks.claim_deliveries(tx, made.id, take=10, now=later)) == 3


def test_a_success_ends_it_and_failures_are_tried_again_ever_later(tx: Tx) -> None:
    made = subscribe(tx)
    row = webhooks.ping_webhook(tx, made.id, actor=OPERATOR, now=NOW)
    now, waited = NOW, []
    for count in range(1, ATTEMPTS_MAX + 1):
        sent = claim(tx, made.id, now=now)
        assert (sent.id, sent.attempts) == (row.id, count - 1)
        webhooks.settle(tx, sent, REFUSED, now=now)
        state = webhooks.find_delivery(tx, row.id)
        if count < ATTEMPTS_MAX:
            assert (state.state, state.attempts) == ("waiting", count)
            waited.append((state.due_at - now).total_seconds())
            now = state.due_at
    for seconds, meant in zip(waited, webhooks.DELAYS_SECONDS, strict=True):
        assert 0.8 * meant <= seconds <= 1.2 * meant
    state = webhooks.find_delivery(tx, row.id)
    assert (state.state, state.due_at, state.ended_at) == ("failed", None, now)
    assert len(webhooks.list_attempts(tx, row.id)) == ATTEMPTS_MAX
    assert webhooks.find_webhook(tx, made.id).failing_since == NOW

    webhooks.redeliver(tx, row.id, actor=OPERATOR, now=now)
    sent = claim(tx, made.id, now=now)
    assert (sent.id, sent.attempts, sent.body) == (row.id, 0, row.body.encode())
    webhooks.settle(tx, sent, OK, now=now)
    state = webhooks.find_delivery(tx, row.id)
    assert (state.state, state.attempts, state.ended_at) == ("delivered", 1, now)
    assert webhooks.find_webhook(tx, made.id).failing_since is None
    assert [each.status for each in webhooks.list_attempts(tx, row.id)][-2:] == [500, 204]
    webhooks.settle(tx, sent, REFUSED, now=now)  # the slower of two: too late to matter
    assert webhooks.find_delivery(tx, row.id).state == "delivered"
    listed, total = webhooks.list_deliveries(tx, made.id, state="delivered")
    assert (total, [each.id for each in listed]) == (1, [row.id])
    assert webhooks.list_deliveries(tx, made.id, state="failed")[1] == 0


def disabling(tx: Tx) -> list[str]:
    query = select(events.c.data).where(events.c.type == "webhook.disabled")
    return [data["reason"] for data in tx.execute(query).scalars()]


def test_410_and_days_of_failures_disable(tx: Tx) -> None:
    gone, failing = subscribe(tx), subscribe(tx)
    webhooks.ping_webhook(tx, gone.id, actor=OPERATOR, now=NOW)
    sent = claim(tx, gone.id)
    webhooks.settle(tx, sent, Attempted(410, "The receiver answered 410.", 5, NOW), now=NOW)
    row = webhooks.find_webhook(tx, gone.id)
    assert row.disabled_at == NOW
    assert "410" in row.disabled_why
    assert webhooks.find_delivery(tx, sent.id).state == "failed"
    with pytest.raises(Conflict) as caught:
        webhooks.ping_webhook(tx, gone.id, actor=OPERATOR, now=NOW)
    assert caught.value.code == "webhook-disabled"

    ids = [webhooks.ping_webhook(tx, failing.id, actor=OPERATOR, now=NOW).id for _ in range(3)]
    moments = (
        NOW,
        NOW + FAILING_DAYS_MAX * DAY - timedelta(seconds=1),
        NOW + FAILING_DAYS_MAX * DAY,
    )
    claimed = webhooks.claim_deliveries(tx, failing.id, take=10, now=NOW)
    for number, (now, one) in enumerate(zip(moments, claimed, strict=True), 1):
        webhooks.settle(tx, one, Attempted(None, "remote-failed: no answer", 5, now), now=now)
        disabled = webhooks.find_webhook(tx, failing.id).disabled_at
        assert (disabled is not None) is (number == 3)
    assert {each.id for each in claimed} == set(ids)
    assert len(disabling(tx)) == 2
    late = NOW + 5 * DAY
    assert webhooks.list_due(tx, now=late) == []
    webhooks.enable_webhook(tx, failing.id, actor=OPERATOR, now=late)
    assert len(webhooks.claim_deliveries(tx, failing.id, take=10, now=late)) == 3


def test_old_deliveries_and_removed_webhooks_are_purged_in_portions(tx: Tx) -> None:
    kept, removed = subscribe(tx), subscribe(tx)
    for number in (kept.id, removed.id):
        for _ in range(3):
            webhooks.ping_webhook(tx, number, actor=OPERATOR, now=NOW)
    for each in webhooks.claim_deliveries(tx, kept.id, take=1, now=NOW):
        webhooks.settle(tx, each, OK, now=NOW)
    webhooks.remove_webhook(tx, removed.id, actor=OPERATOR, now=NOW)
    with pytest.raises(NotFound):
        webhooks.find_webhook(tx, removed.id)
    assert webhooks.list_due(tx, now=NOW)[0].id == kept.id
    assert [webhooks.purge_deliveries(tx, take=2, now=NOW) for _ in range(3)] == [2, 1, 0]
    assert list(tx.execute(select(table.c.id)).scalars()) == [kept.id]
    later = NOW + webhooks.DELIVERIES_KEPT + timedelta(milliseconds=1)
    assert webhooks.purge_deliveries(tx, now=later) == 3
    assert tx.execute(select(attempts)).all() == []
    assert webhooks.find_webhook(tx, kept.id).id == kept.id


def test_an_organisation_has_so_many_webhooks_and_what_waits_has_a_limit(
    tx: Tx, monkeypatch: pytest.MonkeyPatch
) -> None:
    organisation = factories.add_organisation(tx)
    made = [subscribe(tx, organisation=organisation) for _ in range(webhooks.WEBHOOKS_MAX)]
    with pytest.raises(Conflict) as caught:
        subscribe(tx, organisation=organisation)
    assert caught.value.code == "webhooks-too-many"
    webhooks.remove_webhook(tx, made[0].id, actor=OPERATOR, now=NOW)
    subscribe(tx, organisation=organisation)
    rows, total = webhooks.list_webhooks(tx, organisation_id=organisation, take=5)
    assert (len(rows), total) == (5, webhooks.WEBHOOKS_MAX)

    monkeypatch.setattr("entrepot.core.webhooks.deliveries.WAITING_MAX", 2)
    for count, full in ((2, []), (1, [made[1].id])):
        for _ in range(count):
            webhooks.ping_webhook(tx, made[1].id, actor=OPERATOR, now=NOW)
        assert webhooks.disable_overfull(tx, now=NOW) == full


@pytest.mark.parametrize(
    "url",
    [
        "http://receiver.example.com/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://10.1.2.3/",
        "https://169.254.169.254/latest",
        "https://[::ffff:10.0.0.1]/",
        "https://user:secret@receiver.example.com/",
        "https://receiver.example.com/#part",
        "ftp://receiver.example.com/",
        "receiver.example.com",
        "https://receiver.example.com/" + "a" * 2100,
    ],
)
def test_receivers_that_are_not_public_are_refused_when_they_are_named(url: str) -> None:
    with pytest.raises(Invalid) as caught:
        webhooks.check_receiver(url, private=False)
    assert (caught.value.code, caught.value.field) == ("url-refused", "url")
