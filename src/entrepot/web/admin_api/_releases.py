"""Releases from draft to withdrawal, and the files in them. Uploads are in `_uploads`."""

from typing import Any

import msgspec
from sqlalchemy import Row

from entrepot.assembly import Hub
from entrepot.core.catalogue import (
    ReleaseSpec,
    count_releases,
    create_release,
    discard_release,
    drop_unused_bytes,
    find_artifact,
    find_product,
    find_release,
    list_artifacts,
    list_releases,
    make_available,
    remove_artifact,
    withdraw_release,
)
from entrepot.db import Tx
from entrepot.web.admin_api._actions import PUBLISHING, Action, AnyAction, Call, Outcome
from entrepot.web.admin_api._bodies import instant
from entrepot.web.admin_api._wire import fill
from entrepot.web.admin_api._wire_releases import (
    Availability,
    NewRelease,
    ReleaseWithArtifacts,
    StoredArtifact,
    StoredRelease,
    StoredReleasePage,
)

_TAG = "releases"
_EVERY = "/products/{product:str}/releases"
_ONE = "/releases/{release_id:str}"
_FILE = f"{_ONE}/artifacts/{{artifact_id:str}}"


def release_actions(hub: Hub) -> list[AnyAction]:
    """The operations on releases and their files."""

    def dropping(identities: list[str]) -> Outcome:
        return Outcome(afterwards=lambda: drop_unused_bytes(hub.database, hub.blobs, identities))

    def discard(tx: Tx, call: Call[None]) -> Outcome:
        return dropping(discard_release(tx, call.ids["release_id"], actor=call.actor, now=call.now))

    def remove(tx: Tx, call: Call[None]) -> Outcome:
        release_id, artifact_id = call.ids["release_id"], call.ids["artifact_id"]
        found = remove_artifact(tx, release_id, artifact_id, actor=call.actor, now=call.now)
        return dropping([found])

    return [
        *_ACTIONS,
        Action(
            _TAG,
            "DELETE",
            _ONE,
            "discardRelease",
            "Take back a draft and its files",
            PUBLISHING,
            discard,
            status=204,
            conflicts=True,
        ),
        Action(
            _TAG,
            "DELETE",
            _FILE,
            "removeArtifact",
            "Take a file out of a draft",
            PUBLISHING,
            remove,
            status=204,
            conflicts=True,
        ),
    ]


def _list(tx: Tx, call: Call[None]) -> Outcome:
    number = find_product(tx, call.ids["product"]).id
    found = list_releases(tx, number, skip=call.rows.skip, take=call.rows.take)
    items = [fill(StoredRelease, row) for row in found]
    return Outcome(StoredReleasePage(count_releases(tx, number), items))


def _create(tx: Tx, call: Call[NewRelease]) -> Outcome:
    number = find_product(tx, call.ids["product"]).id
    spec = ReleaseSpec(**msgspec.structs.asdict(call.body))
    release_id = create_release(tx, number, spec, actor=call.actor, now=call.now)
    return Outcome(_item(tx, find_release(tx, release_id)), f"/releases/{release_id}")


def _show(tx: Tx, call: Call[None]) -> Outcome:
    return Outcome(_item(tx, find_release(tx, call.ids["release_id"])))


def _item(tx: Tx, row: Row[Any]) -> ReleaseWithArtifacts:
    artifacts = [artifact_item(each) for each in list_artifacts(tx, row.id)]
    return fill(ReleaseWithArtifacts, row, artifacts=artifacts)


def artifact_item(row: Row[Any]) -> StoredArtifact:
    """A file as it goes out."""
    return fill(StoredArtifact, row)


def _make_available(tx: Tx, call: Call[Availability]) -> Outcome:
    moment = instant(call.body.available_at, "available_at")
    release_id = call.ids["release_id"]
    make_available(tx, release_id, available_at=moment, actor=call.actor, now=call.now)
    return Outcome()


def _withdraw(tx: Tx, call: Call[None]) -> Outcome:
    withdraw_release(tx, call.ids["release_id"], actor=call.actor, now=call.now)
    return Outcome()


def _show_artifact(tx: Tx, call: Call[None]) -> Outcome:
    row = find_artifact(tx, call.ids["release_id"], call.ids["artifact_id"])
    return Outcome(artifact_item(row))


_ACTIONS: tuple[AnyAction, ...] = (
    Action(
        _TAG,
        "GET",
        _EVERY,
        "listProductReleases",
        "List the releases of a product in any state, newest first",
        PUBLISHING,
        _list,
        answer=StoredReleasePage,
        paged=True,
    ),
    Action(
        _TAG,
        "POST",
        _EVERY,
        "createRelease",
        "Start a draft, which only publishers see",
        PUBLISHING,
        _create,
        status=201,
        answer=ReleaseWithArtifacts,
        body=NewRelease,
        conflicts=True,
    ),
    Action(
        _TAG,
        "GET",
        _ONE,
        "showProductRelease",
        "Show a release in any state with its files",
        PUBLISHING,
        _show,
        answer=ReleaseWithArtifacts,
    ),
    Action(
        _TAG,
        "POST",
        f"{_ONE}/available",
        "makeReleaseAvailable",
        "Show a draft, or a withdrawn release again, to those entitled",
        PUBLISHING,
        _make_available,
        status=204,
        body=Availability,
        body_required=False,
        conflicts=True,
    ),
    Action(
        _TAG,
        "POST",
        f"{_ONE}/withdraw",
        "withdrawRelease",
        "Stop every download of a release within seconds",
        PUBLISHING,
        _withdraw,
        status=204,
        conflicts=True,
    ),
    Action(
        _TAG,
        "GET",
        _FILE,
        "showReleaseArtifact",
        "Show a file of a release in any state",
        PUBLISHING,
        _show_artifact,
        answer=StoredArtifact,
    ),
)
