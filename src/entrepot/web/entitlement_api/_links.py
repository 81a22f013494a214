"""Links to what may be had: to an artifact, to a release as a ZIP or as a Metalink document."""

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from entrepot.blobs import CHUNK_BYTES
from entrepot.core.catalogue.chunks import chunk_digests
from entrepot.core.delivery import (
    issue_artifact_link,
    issue_artifact_links,
    issue_release_link,
    lay_out_package,
    release_file_name,
    release_package,
)
from entrepot.core.entitlements import ArtifactRequest, permitted_artifact, refer
from entrepot.db import Tx
from entrepot.web.entitlement_api._door import (
    ARTIFACT_PATH,
    HEADERS,
    LISTING,
    RELEASE_PATH,
    Door,
    OfArtifact,
    OfEntitlement,
    OfRelease,
    answer_json,
    encode,
)
from entrepot.web.entitlement_api._errors import AnyRequest, answer_not_offered
from entrepot.web.entitlement_api._metalink import (
    ENDING,
    MEDIA_TYPE,
    Offered,
    write_metalink,
)
from entrepot.web.entitlement_api._operations import (
    ARTIFACTS,
    DECLARED_COUNTRY,
    DOWNLOAD_URL,
    METALINK,
    RELEASE_ZIP,
    answers,
    with_parameters,
)
from entrepot.web.entitlement_api._permissions import declared_country
from entrepot.web.entitlement_api._query import parse_artifacts
from entrepot.web.entitlement_api._wire import DownloadUrl, ReleaseZip
from entrepot.web.http.disposition import attachment


def issue_link_route(door: Door) -> HTTPRouteHandler:
    """Endpoint 6: a link to an artifact."""
    hub, policy = door.edge.hub, door.policy

    @get(
        ARTIFACT_PATH + "/http",
        operation_id="issueDownloadUrl",
        summary="Issue a link to the artifact's bytes, good for 10 minutes",
        operation_class=with_parameters(DECLARED_COUNTRY),
        responses=answers(DownloadUrl, "The link.", 404, example=DOWNLOAD_URL, licence=True),
    )
    async def handler(
        request: AnyRequest,
        entitlement_id: OfEntitlement,
        release_id: OfRelease,
        artifact_id: OfArtifact,
    ) -> ASGIResponse:
        who, caller, _ = await door.enter(request)
        country = declared_country(caller)
        link = await door.decide(
            entitlement_id,
            door.edge.write(
                lambda tx: issue_artifact_link(
                    tx,
                    hub.keys.current,
                    who,
                    number=entitlement_id,
                    release_id=release_id,
                    artifact_id=artifact_id,
                    declared_country=country,
                    embargoed=policy.embargoed,
                    seconds=policy.link_seconds,
                    now=hub.now(),
                )
            ),
        )
        return answer_json(encode(door.writer.download_url(link.path, artifact_id)))

    return handler


def issue_zip_link_route(door: Door) -> HTTPRouteHandler:
    """A link to all files of a release in one ZIP."""
    hub, policy = door.edge.hub, door.policy

    @get(
        RELEASE_PATH + "/zip",
        operation_id="issueReleaseZipUrl",
        summary="Issue a link to all files of a release in one ZIP, good for 10 minutes",
        operation_class=with_parameters(DECLARED_COUNTRY),
        responses=answers(ReleaseZip, "The link.", 404, example=RELEASE_ZIP, licence=True),
    )
    async def handler(
        request: AnyRequest, entitlement_id: OfEntitlement, release_id: OfRelease
    ) -> ASGIResponse:
        who, caller, _ = await door.enter(request)
        country = declared_country(caller)
        link, granted = await door.decide(
            entitlement_id,
            door.edge.write(
                lambda tx: issue_release_link(
                    tx,
                    hub.keys.current,
                    who,
                    number=entitlement_id,
                    release_id=release_id,
                    declared_country=country,
                    embargoed=policy.embargoed,
                    seconds=policy.link_seconds,
                    now=hub.now(),
                )
            ),
        )
        package = release_package(granted)
        archive = await door.edge.run(lambda: lay_out_package(package, hub.blobs))
        body = door.writer.release_zip(
            link.path, granted.release_id, release_file_name(granted), archive.size
        )
        return answer_json(encode(body))

    return handler


def write_metalink_route(door: Door) -> HTTPRouteHandler:
    """The release, or some of its files, as a Metalink document."""
    hub, policy = door.edge.hub, door.policy

    @get(
        RELEASE_PATH + "/metalink",
        operation_id="writeReleaseMetalink",
        summary="Links to the files of a release with their digests, for download managers",
        operation_class=with_parameters(DECLARED_COUNTRY, ARTIFACTS),
        responses=answers(None, "", 404, licence=True) | {200: METALINK},
    )
    async def handler(
        request: AnyRequest, entitlement_id: OfEntitlement, release_id: OfRelease
    ) -> ASGIResponse:
        who, caller, parameters = await door.enter(request, (*LISTING, ARTIFACTS.name))
        only = parse_artifacts(parameters)
        country = declared_country(caller)
        now = hub.now()
        links, granted = await door.decide(
            entitlement_id,
            door.edge.write(
                lambda tx: issue_artifact_links(
                    tx,
                    hub.keys.current,
                    who,
                    number=entitlement_id,
                    release_id=release_id,
                    only=only,
                    declared_country=country,
                    embargoed=policy.embargoed,
                    seconds=policy.link_seconds,
                    now=now,
                )
            ),
        )

        def write(tx: Tx) -> bytes:
            offered = [
                Offered(
                    file, link, chunk_digests(tx, file.sha256) if file.size > CHUNK_BYTES else ()
                )
                for file, link in zip(granted.files, links, strict=True)
            ]
            return write_metalink(
                granted,
                offered,
                publisher=policy.publisher,
                public_url=policy.public_url,
                now=now,
            )

        name = attachment(release_file_name(granted, ENDING)).decode()
        return ASGIResponse(
            body=await door.edge.read(write),
            headers=[*HEADERS, ("content-disposition", name)],
            media_type=MEDIA_TYPE,
        )

    return handler


def issue_transfer_spec_route(door: Door) -> HTTPRouteHandler:
    """Endpoint 7: decided like a link, and not offered."""
    hub = door.edge.hub

    @get(
        ARTIFACT_PATH + "/fasp",
        status_code=501,
        operation_id="issueTransferSpec",
        summary="Aspera transfer spec: decided like a link, but not offered by this hub",
        operation_class=with_parameters(DECLARED_COUNTRY),
        responses=answers(None, "", 404, 501, licence=True),
    )
    async def handler(
        request: AnyRequest,
        entitlement_id: OfEntitlement,
        release_id: OfRelease,
        artifact_id: OfArtifact,
    ) -> Response[bytes]:
        who, caller, _ = await door.enter(request)
        wanted = ArtifactRequest(
            organisation_id=who.organisation_id,
            user_id=who.user_id,
            api_client_id=who.api_client_id,
            reference=refer(entitlement_id),
            release_id=release_id,
            artifact_id=artifact_id,
            country=who.country,
            declared_country=declared_country(caller),
            embargoed=door.policy.embargoed,
        )
        await door.decide(
            entitlement_id,
            door.edge.read(lambda tx: permitted_artifact(tx, wanted, now=hub.now())),
        )
        return answer_not_offered(artifact_id)

    return handler
