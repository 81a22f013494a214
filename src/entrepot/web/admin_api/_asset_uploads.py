"""Files of assets on their way in: a new asset, or another file for one that is there."""

from collections.abc import Mapping
from dataclasses import dataclass

from litestar.openapi.spec import Schema
from litestar.openapi.spec.enums import OpenAPIType

from entrepot.assembly import Hub
from entrepot.core.accounts import Principal
from entrepot.core.catalogue import (
    DEFAULT_CULTURE,
    ENTITLED,
    MEASURE_ASSET,
    PUBLIC,
    AssetSpec,
    StoredFile,
    add_asset,
    check_asset,
    find_asset,
    is_measured,
    replace_asset_file,
)
from entrepot.db import Tx
from entrepot.jobs import CONVERSIONS, conversions_on
from entrepot.kit.file_names import check_file_name
from entrepot.kit.ids import new_uuid
from entrepot.web.admin_api._actions import PUBLISHING, Action, Outcome, query_parameter
from entrepot.web.admin_api._assets import ONE, TAG, asset_item
from entrepot.web.admin_api._digest_fields import announced_sha256
from entrepot.web.admin_api._errors import AnyRequest
from entrepot.web.admin_api._uploads import elsewhere, file_name_of
from entrepot.web.admin_api._wire_assets import StoredAsset

_BODY = (
    "The body is the file as it is, of any size up to the operator's limit; its type is told "
    "from its bytes, and its `facts` appear soon after, once a worker has measured it. With the "
    "header `Content-Digest: sha-256=:<base64>:` (RFC 9530) a file that "
    "arrives changed is refused."
)

ASSET_UPLOAD: Action[None] = Action(
    TAG,
    "POST",
    "/assets",
    "uploadAsset",
    "Add a media asset with its file",
    PUBLISHING,
    elsewhere,
    status=201,
    answer=StoredAsset,
    filters=(
        query_parameter("file_name", "The name customers see and save it by.", required=True),
        query_parameter("title", "A title; the file name without its ending unless told."),
        query_parameter("culture", f"Language of the title; `{DEFAULT_CULTURE}` unless told."),
        query_parameter("folder", "Such as a/b."),
        query_parameter("identifier", "A lasting name of your own; one is made unless told."),
        query_parameter("product", "Number or code of the product whose entitlements give it."),
        query_parameter(
            "visibility",
            "`public`: everyone who signs in has it. Unless told, a product must be.",
            schema=Schema(type=OpenAPIType.STRING, enum=[PUBLIC, ENTITLED]),
        ),
    ),
    conflicts=True,
    description=(
        f"{_BODY} Name an `identifier`, so that a repeated request is a 409 instead of a second "
        "asset."
    ),
)

FILE_UPLOAD: Action[None] = Action(
    TAG,
    "PUT",
    f"{ONE}/file",
    "replaceAssetFile",
    "Give an asset another file; orders placed before deliver it as it was",
    PUBLISHING,
    elsewhere,
    answer=StoredAsset,
    filters=(query_parameter("file_name", "Another name; the one it has unless told."),),
    description=_BODY,
)


@dataclass(frozen=True, slots=True)
class AssetUpload:
    """A file for a new asset."""

    who: Principal
    spec: AssetSpec
    sha256: str | None

    @property
    def file_name(self) -> str:
        """As the publisher named it."""
        return self.spec.file_name

    def check(self, tx: Tx) -> None:
        """All that is said of it is good, and its identifier is free."""
        check_asset(tx, self.spec)

    def keep(self, tx: Tx, hub: Hub, stored: StoredFile) -> Outcome:
        """Add the asset."""
        number = add_asset(tx, self.spec, stored, actor=self.who.label, now=hub.now())
        _have_measured(tx, hub, number, stored)
        return Outcome(asset_item(find_asset(tx, number)), f"/assets/{number}")


@dataclass(slots=True)
class FileUpload:
    """Another file for an asset. `told`: the name in the request, or None."""

    who: Principal
    asset: str
    told: str | None
    sha256: str | None
    file_name: str = ""

    def check(self, tx: Tx) -> None:
        """The asset is there, and the name is good."""
        self.file_name = find_asset(tx, self.asset).file_name
        if self.told is not None:
            self.file_name = check_file_name(self.told, field="file_name")

    def keep(self, tx: Tx, hub: Hub, stored: StoredFile) -> Outcome:
        """Take the file in the place of the one before."""
        row = find_asset(tx, self.asset)
        replace_asset_file(
            tx, row.id, stored, file_name=self.told, actor=self.who.label, now=hub.now()
        )
        _have_measured(tx, hub, row.id, stored)
        return Outcome(asset_item(find_asset(tx, row.id)))


def _have_measured(tx: Tx, hub: Hub, asset_id: int, stored: StoredFile) -> None:
    """Its facts come when a worker has looked into it, in the sandbox: never in this process.

    Where nobody can, no job is left to wait for ever.
    """
    if is_measured(stored.content_type) and conversions_on(tx):
        hub.jobs.enqueue(
            tx,
            MEASURE_ASSET,
            [asset_id, stored.digests.sha256],
            job_id=f"measure-{asset_id}-{new_uuid()}",
            partition="assets",
            queue=CONVERSIONS,
        )


def asset_upload(request: AnyRequest, who: Principal, query: Mapping[str, str]) -> AssetUpload:
    """The upload that a request to add an asset means."""
    culture = query.get("culture", DEFAULT_CULTURE)
    spec = AssetSpec(
        file_name_of(query),
        titles={culture: query["title"]} if "title" in query else {},
        identifier=query.get("identifier"),
        folder=query.get("folder", ""),
        visibility=query.get("visibility", ENTITLED),
        product=query.get("product"),
    )
    return AssetUpload(who, spec, announced_sha256(request.headers))


def file_upload(request: AnyRequest, who: Principal, query: Mapping[str, str]) -> FileUpload:
    """The upload that a request to replace a file means."""
    digest = announced_sha256(request.headers)
    return FileUpload(who, request.path_params["asset"], query.get("file_name"), digest)
