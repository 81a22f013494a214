"""Who took what."""

from entrepot.core.accounts import find_organisation
from entrepot.core.delivery import count_downloads, list_downloads
from entrepot.db import Tx
from entrepot.errors import Invalid
from entrepot.kit.ids import parse_uuid
from entrepot.web.admin_api._actions import (
    OF_ARTIFACT,
    OF_ORGANISATION,
    PUBLISHING,
    Action,
    AnyAction,
    Call,
    Outcome,
)
from entrepot.web.admin_api._bodies import field_named
from entrepot.web.admin_api._wire import fill
from entrepot.web.admin_api._wire_downloads import DownloadItem, DownloadPage


def _list(tx: Tx, call: Call[None]) -> Outcome:
    owner, artifact_id = call.query.get("organisation"), call.query.get("artifact")
    with field_named("organisation"):
        number = None if owner is None else find_organisation(tx, owner).id
    if artifact_id is not None:
        artifact_id = parse_uuid(artifact_id)
        if artifact_id is None:
            raise Invalid("artifact is the UUID of a file.", field="artifact")
    found = list_downloads(
        tx,
        artifact_id=artifact_id,
        organisation_id=number,
        skip=call.rows.skip,
        take=call.rows.take,
    )
    total = count_downloads(tx, artifact_id=artifact_id, organisation_id=number)
    return Outcome(DownloadPage(total, [fill(DownloadItem, row) for row in found]))


DOWNLOAD_ACTIONS: tuple[AnyAction, ...] = (
    Action(
        "downloads",
        "GET",
        "/downloads",
        "listDownloads",
        "List who took what, newest first",
        PUBLISHING,
        _list,
        answer=DownloadPage,
        filters=(OF_ORGANISATION, OF_ARTIFACT),
        paged=True,
    ),
)
