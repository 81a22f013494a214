"""Links to an order's ZIP: one for each bucket of time, the same in every process."""

import io
import zipfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from entrepot.blobs import LocalBlobStore
from entrepot.core import accounts, entitlements
from entrepot.core.accounts import Keyring, LinkKey, Principal, SecretBox
from entrepot.core.delivery import (
    IssuedLink,
    Package,
    Transfer,
    issue_order_link,
    key_id_of,
    lay_out_package,
    link_bucket,
    list_downloads,
    order_link,
    record_transfers,
    redeem_link,
    verify_link,
)
from entrepot.core.delivery.tables import leases
from entrepot.core.events.tables import events
from entrepot.db import Database
from entrepot.errors import Denied, Gone, NotFound, Unavailable
from tests.archives import Window
from tests.core.orders_world import World, make_world
from tests.factories import DAY, NOW, OPERATOR

KEY = LinkKey("0a0b0c0d", b"k" * 32, NOW - DAY)
KEYRING = Keyring({}, {KEY.kid: KEY})
MINUTE = timedelta(minutes=1)


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    """A customer with one picture in the selection."""
    made = make_world(database, tmp_path)
    made.select(made.add_asset(b"a picture"))
    return made


@pytest.fixture
def order_id(world: World) -> int:
    """A completed order of the stored file."""
    placed = world.order({"global": {"M.AssetMedia.Images": {"renditions": ["downloadOriginal"]}}})
    assert world.complete(placed.order_id) == "Completed"
    return placed.order_id


def look(world: World, order_id: int, *, who: Principal | None = None, **more: Any) -> Any:
    with world.database.read() as tx:
        return order_link(
            tx,
            more.pop("keyring", KEYRING),
            who or world.who,
            order_id=order_id,
            generation=more.pop("generation", 1),
            file_name="files.zip",
            now=world.now,
            **more,
        )


def issue(world: World, order_id: int, *, who: Principal | None = None, **more: Any) -> IssuedLink:
    with world.database.write() as tx:
        return issue_order_link(
            tx,
            more.pop("keyring", KEYRING),
            who or world.who,
            order_id=order_id,
            generation=more.pop("generation", 1),
            file_name="files.zip",
            now=world.now,
            **more,
        )


def counted(world: World) -> tuple[int, int]:
    """Leases, and events that say a link was issued."""
    with world.database.read() as tx:
        rows = tx.execute(select(func.count()).select_from(leases)).scalar_one()
        told = select(func.count()).where(events.c.type == "link.issued")
        return rows, tx.execute(told).scalar_one()


def test_one_link_and_one_write_for_each_bucket(world: World, order_id: int) -> None:
    begun = link_bucket(world.now)
    assert look(world, order_id) is None
    first = issue(world, order_id)
    assert first.expires_at == begun + 10 * MINUTE
    for seconds in (0, 1, 200, 299):
        world.now = begun + timedelta(seconds=seconds)
        assert link_bucket(world.now) == begun
        assert look(world, order_id) == first == issue(world, order_id)
        assert first.expires_at - world.now >= 5 * MINUTE
    assert counted(world) == (1, 1)
    world.now = begun + 5 * MINUTE
    assert link_bucket(world.now) == world.now
    assert look(world, order_id) is None
    second = issue(world, order_id)
    assert second.path != first.path
    assert counted(world) == (2, 2)
    token, _, name = first.path.encode().partition(b"/")
    late = begun + 10 * MINUTE
    signed = verify_link(KEYRING.link_keys, token, name, now=late - timedelta(milliseconds=1))
    assert signed.lease_id == first.lease_id
    with pytest.raises(Gone):
        verify_link(KEYRING.link_keys, token, name, now=late)


def test_a_bucket_is_half_of_a_links_life(world: World) -> None:
    for seconds, length in ((600, 300_000), (86_400, 300_000), (2, 1000), (1, 500)):
        at = NOW + timedelta(milliseconds=12_345_678)
        begun = link_bucket(at, seconds=seconds)
        assert begun <= at < begun + timedelta(milliseconds=length)
        assert link_bucket(begun, seconds=seconds) == begun
        assert link_bucket(begun - timedelta(milliseconds=1), seconds=seconds) < begun


def test_a_retried_order_has_another_link_at_once(world: World, order_id: int) -> None:
    """Within a bucket too: a process may keep what the former one led to for some seconds."""
    former, again = issue(world, order_id), issue(world, order_id, generation=2)
    assert former.lease_id != again.lease_id
    assert look(world, order_id, generation=2) == again


def test_nobody_shares_a_link(world: World, order_id: int) -> None:
    mine = issue(world, order_id)
    abroad = replace(world.who, country="FR")
    assert look(world, order_id, who=abroad) is None
    assert issue(world, order_id, who=abroad).lease_id != mine.lease_id
    with pytest.raises(NotFound):
        issue(world, order_id, who=world.colleague())
    with pytest.raises(NotFound):
        issue(world, order_id + 1)
    assert counted(world)[0] == 2


def test_a_rotation_of_the_key_does_not_change_a_buckets_link(world: World, order_id: int) -> None:
    before = issue(world, order_id)
    newer = LinkKey("0e0e0e0e", b"n" * 32, link_bucket(world.now) + MINUTE)
    rotated = Keyring({}, {KEY.kid: KEY, newer.kid: newer})
    world.now = link_bucket(world.now) + 2 * MINUTE
    assert look(world, order_id, keyring=rotated) == before
    world.later(minutes=5)
    after = issue(world, order_id, keyring=rotated)
    assert key_id_of(after.path.partition("/")[0].encode()) == newer.kid
    # A hub younger than the bucket signs with its first key.
    young = Keyring({}, {newer.kid: replace(newer, signs_from=world.now)})
    assert issue(world, order_id, keyring=young)


def test_the_link_gives_the_zip_of_the_order(world: World, order_id: int) -> None:
    link = issue(world, order_id)
    with world.database.read() as tx:
        redeemed = redeem_link(tx, link.lease_id, now=world.now)
    assert redeemed.principal == world.who.label
    assert (redeemed.content_type, redeemed.order_id) == ("application/zip", order_id)
    assert isinstance(redeemed.content, Package)
    assert redeemed.last_modified == world.package(order_id).completed_at
    archive = lay_out_package(redeemed.content, world.store)
    with zipfile.ZipFile(Window(archive, world.store)) as opened:
        assert opened.testzip() is None
        assert opened.namelist() == list(world.entries(order_id))
        [name] = world.files(order_id)
        assert opened.read(name) == b"a picture"
    assert lay_out_package(redeemed.content, world.store).etag == archive.etag
    with pytest.raises(ValueError, match="layout"):
        redeemed.delivery()
    _record(world, link, archive.size, redeemed.delivery(archive))


def _record(world: World, link: IssuedLink, size: int, delivery: Any) -> None:
    sent = Transfer(
        lease_id=link.lease_id,
        principal=world.who.label,
        organisation_id=world.who.organisation_id,
        of=delivery,
        first_byte=0,
        length=size,
        started_at=world.now,
        ended_at=world.now,
        whole=True,
        address="192.0.2.1",
        agent="agent",
    )
    after_a_retry = replace(sent, of=replace(delivery, object=f"{delivery.subject}/other", size=9))
    half = replace(after_a_retry, length=5, whole=False)
    with world.database.write() as tx:
        assert record_transfers(tx, [sent, half], now=world.now) == 1
        assert record_transfers(tx, [half], now=world.now) == 0
        other, row = list_downloads(tx, organisation_id=world.who.organisation_id)
        told = tx.execute(select(events).where(events.c.type == "download.completed")).all()
    assert (row.kind, row.order_id, row.entitlement_id) == ("order", delivery.order_id, None)
    assert (row.product_code, row.artifact_id, row.size) == (None, None, size)
    assert row.file_name == delivery.file_name
    assert row.completed_at == world.now
    assert other.completed_at is None
    assert [event.subject for event in told] == [f"order:{delivery.order_id}"]


def test_a_list_that_is_damaged_or_gone_is_said(world: World) -> None:
    damaged = world.store.ingest(io.BytesIO(b"\xc1"))
    store: LocalBlobStore = world.store
    for sha256 in (damaged.sha256, "ab" * 32):
        with pytest.raises(Unavailable) as caught:
            lay_out_package(Package(sha256, NOW), store)
        assert caught.value.code == "bytes-missing"


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("revoke", "order-right-ended"),
        ("block", "organisation-blocked"),
        ("disable", "account-disabled"),
        ("expire", "order-ended"),
        ("embargo", "country-embargoed"),
    ],
)
def test_what_ends_a_right_ends_the_orders_links(
    world: World, order_id: int, end: str, code: str
) -> None:
    link, organisation = issue(world, order_id), world.who.organisation_id
    embargoed: tuple[str, ...] = ()
    with world.database.write() as tx:
        if end == "revoke":
            entitlements.revoke(tx, world.entitlement, actor=OPERATOR, now=world.now)
        elif end == "block":
            accounts.block_organisation(
                tx, organisation, blocked=True, actor=OPERATOR, now=world.now
            )
        elif end == "disable":
            accounts.disable_user(tx, world.who.id, actor=OPERATOR, now=world.now)
        elif end == "expire":
            world.later(days=31)
        else:
            embargoed = ("DE",)
    for ask in (
        lambda tx: redeem_link(tx, link.lease_id, embargoed=embargoed, now=world.now),
        lambda tx: issue_order_link(
            tx,
            KEYRING,
            world.who,
            order_id=order_id,
            generation=1,
            file_name="files.zip",
            embargoed=embargoed,
            now=world.now,
        ),
    ):
        with world.database.write() as tx, pytest.raises((Denied, Gone)) as caught:
            ask(tx)
        assert caught.value.code == code


def test_a_real_keyring_signs(world: World, order_id: int) -> None:
    with world.database.write() as tx:
        box = SecretBox("a secret key that is long enough")
        accounts.ensure_keys(tx, box, now=world.now)
        keyring = accounts.load_keyring(tx, box, now=world.now)
    link = issue(world, order_id, keyring=keyring)
    token, _, name = link.path.encode().partition(b"/")
    assert verify_link(keyring.link_keys, token, name, now=world.now).lease_id == link.lease_id
