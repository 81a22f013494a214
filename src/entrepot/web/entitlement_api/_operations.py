"""What the OpenAPI document says of the operations beyond what Litestar can see itself."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example, Operation, Parameter, Schema
from litestar.openapi.spec.enums import OpenAPIType

from entrepot.core.delivery import IssuedLink
from entrepot.core.entitlements import PermittedArtifacts, PermittedFile
from entrepot.web.entitlement_api._metalink import MEDIA_TYPE, Offered, write_metalink
from entrepot.web.entitlement_api._query import (
    ARTIFACTS_MAX,
    OFFSET_MAX,
    PAGE_SIZE,
    SEARCH_BYTES_MAX,
)
from entrepot.web.entitlement_api._wire import (
    PATH,
    ArtifactItem,
    Characteristics,
    Check,
    Compliance,
    Customer,
    DownloadUrl,
    EntitlementId,
    EntitlementItem,
    EntitlementPage,
    Fault,
    Foundry,
    History,
    LicenceItem,
    Named,
    Permission,
    PermissionArtifact,
    PermissionPage,
    PermissionProduct,
    PermissionRelease,
    Product,
    Quality,
    ReleaseItem,
    ReleasePage,
    ReleaseZip,
    Rights,
    SalesOrderItem,
    Wire,
)

OFFSET = Parameter(
    name="offset",
    param_in="query",
    description="The page, counted from 1. Without it everything is returned, whatever the limit.",
    schema=Schema(type=OpenAPIType.INTEGER, minimum=1, maximum=OFFSET_MAX),
    examples={"first page": Example(value=1)},
)
DECLARED_COUNTRY = Parameter(
    name="declared-country-code",
    param_in="header",
    description="ISO 3166-1 alpha-2 code of the country the file goes to; required where the "
    "artifact's `repository` contains `controlled`.",
    schema=Schema(type=OpenAPIType.STRING, min_length=2, max_length=2),
    examples={"Germany": Example(value="DE")},
)

ARTIFACTS = Parameter(
    name="artifacts",
    param_in="query",
    description=f"Only these of the release's artifacts: at most {ARTIFACTS_MAX} UUIDs with commas "
    "between them. Without it: all.",
    schema=Schema(type=OpenAPIType.STRING),
    examples={"one": Example(value="7db814ee-c1e3-4d68-a65d-a7e6b437e1ef")},
)


def limit(most: int) -> Parameter:
    """The parameter `limit` with the operator's most."""
    return Parameter(
        name="limit",
        param_in="query",
        description="Items on a page, where offset is given.",
        schema=Schema(
            type=OpenAPIType.INTEGER, minimum=1, maximum=most, default=min(PAGE_SIZE, most)
        ),
        examples={"all on a page": Example(value=most)},
    )


def search(keys: str, example: str) -> Parameter:
    """The parameter `search` with the keys of one endpoint."""
    return Parameter(
        name="search",
        param_in="query",
        description=f"A compact JSON object, at most {SEARCH_BYTES_MAX} bytes. Keys, all of which "
        f"must hold: {keys}. Dates: 2026-01-31, or a time with its zone.",
        schema=Schema(type=OpenAPIType.STRING, max_length=SEARCH_BYTES_MAX),
        examples={"search": Example(value=example)},
    )


ENTITLEMENT_SEARCH = search(
    "product.id (a product code), rightTo, activatedFrom",
    '{"product.id":"DS000B","rightTo":"download","activatedFrom":"2026-01-31"}',
)
RELEASE_SEARCH = search(
    "availableFrom, latestAvailable (true: only the newest)",
    '{"availableFrom":"2026-01-31T12:00:00Z","latestAvailable":true}',
)


IF_NONE_MATCH = Parameter(
    name="If-None-Match",
    param_in="header",
    description="304 where the answer still has this ETag.",
    schema=Schema(type=OpenAPIType.STRING),
    examples={"seen before": Example(value='"5f2b"')},
)
UNCHANGED = ResponseSpec(
    None, generate_examples=False, description="The answer still has the ETag that was named."
)
PERMISSION_SEARCH = search(
    "artifact.id, release.id, product.id (a product code; alone: its newest release), "
    "release.name; at least one of the first three",
    '{"product.id":"DS000B","release.name":"2022.2"}',
)


def with_parameters(*more: Parameter) -> type[Operation]:
    """An operation with parameters that its handler reads by itself."""

    class Described(Operation):  # no dataclass again: to make one costs a thousandth of a second
        def __init__(self, **said: Any) -> None:
            super().__init__(**said)
            self.parameters = [*(self.parameters or []), *more]

    return Described


def _example(value: Wire) -> list[Example]:
    return [Example(value=msgspec.to_builtins(value))]


def _refused(status: int, description: str, reason: str, text: str, remedy: str) -> ResponseSpec:
    fault = Fault(status, f"{text} {remedy}", reason, remedy)
    return ResponseSpec(
        Fault, generate_examples=False, description=description, examples=_example(fault)
    )


_REFUSED: Mapping[int, ResponseSpec] = {
    400: _refused(
        400,
        "A parameter is wrong; `field` names it.",
        "parameter-unknown",
        "There is no parameter 'page'.",
        "Parameters: offset, limit, search.",
    ),
    401: _refused(
        401,
        "No token, or one that is not valid (any more).",
        "token-expired",
        "The access token has expired.",
        "Get a new token, for example on the token page, and sign in again.",
    ),
    403: _refused(
        403,
        "You have (or had) a right, and a condition fails now: `reason` says which.",
        "scope-required",
        "The access token does not carry the scope 'entitlements'.",
        "Ask for a token with the scope 'entitlements'.",
    ),
    404: _refused(
        404,
        "It is not there, or it is not yours: the same bytes.",
        "not-found",
        "There is no such object, or it is not yours.",
        "Check the id; list what your organisation is entitled to.",
    ),
    408: _refused(
        408,
        "The body did not come in time.",
        "body-late",
        "The body did not come within 60 s.",
        "Send it again.",
    ),
    409: _refused(
        409,
        "Another revision has to be accepted than the one that was named; `details` says which.",
        "licence-other",
        "The licence that has to be accepted is TOOLS (revision 2), not TOOLS (revision 1).",
        "Read it, and name it if you agree.",
    ),
    429: _refused(
        429, "Slow down; see Retry-After.", "too-many-requests", "Too many requests.", "Wait."
    ),
    501: _refused(
        501,
        "This hub has no Aspera server.",
        "fasp-not-configured",
        "This hub does not offer Aspera (FASP) for this artifact.",
        "Download it over HTTP: the same address with http instead of fasp at its end.",
    ),
    503: _refused(
        503, "Not now; see Retry-After.", "database-busy", "The database is busy.", "Try again."
    ),
}
_LICENCE = ResponseSpec(
    Fault,
    generate_examples=False,
    description="A condition fails now: `reason` says which. With `errorName` "
    "download-error-eula-required a person lifts it on the page `agreementUrl`.",
    examples=_example(
        Fault(
            403,
            "The licence TOOLS (revision 2) has to be accepted first."
            " Read and accept it, then ask again.",
            "licence-required",
            "Read and accept it, then ask again.",
            error_name="download-error-eula-required",
            agreement_url="https://hub.example.com/licences/TOOLS?revision=2&return=%2Fentitlements%2F169189",
        )
    ),
)


def answers(
    body: type[Wire] | None,
    description: str,
    *refused: int,
    example: Wire | None = None,
    licence: bool = False,
) -> dict[int, ResponseSpec]:
    """The responses of an operation: the body of 200, and those refusals that are possible."""
    specs: dict[int, ResponseSpec] = {}
    if body is not None:
        specs[200] = ResponseSpec(
            body,
            generate_examples=False,
            description=description,
            examples=None if example is None else _example(example),
        )
    statuses = (400, 401, 403, 429, 503, *refused)
    specs |= {status: _REFUSED[status] for status in statuses}
    if licence:
        specs[403] = _LICENCE
    return specs


_HUB = "https://hub.example.com"
_MOMENT = "2026-01-31T12:00:00.000Z"
ENTITLEMENT = EntitlementItem(
    "169189",
    f"{_HUB}{PATH}/169189",
    Customer("1001", "Example Semiconductors", f"{_HUB}/customers/1001", False),
    Product(
        "DS000B",
        "Development Studio",
        f"{_HUB}/products/DS000B",
        "download",
        Named("TOOLS", f"{_HUB}/licences/TOOLS"),
    ),
    "Active",
    "download",
    _MOMENT,
    Characteristics(False, False, False),
    Rights([Quality("EAC")], [Foundry("Example Foundry")], _MOMENT, "2027-01-31T12:00:00.000Z"),
    Compliance("approved", False, ["5D992"], [Named("DE", f"{_HUB}/countries/DE")]),
    History(_MOMENT, _MOMENT),
    "2027-01-31T12:00:00.000Z",
    sales_order_item=SalesOrderItem("4711"),
)
LICENCE = LicenceItem(
    "TOOLS",
    "Terms of use",
    2,
    "dcb48e36ebdd26a47d8b84daf8559d4449197e560fe876d7150bf0347cc2a310",
    f"{_HUB}/licences/TOOLS?revision=2&return=%2Fentitlements%2F169189",
    ["me"],
    True,
    "You may use it as agreed.",
)
_RELEASE_ID = "d2650553-3806-4c0e-92d7-2e46fd468074"
_ARTIFACT_ID = "7db814ee-c1e3-4d68-a65d-a7e6b437e1ef"
ARTIFACT = ArtifactItem(
    _ARTIFACT_ID,
    "Linux installer",
    "64-bit",
    "Installer",
    "studio-2022.2-linux.tgz",
    1_234_567,
    "0cc175b9c0f1b6a831c399e269772661",
    "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
    "general",
)
RELEASE = ReleaseItem(
    _RELEASE_ID,
    EntitlementId("169189"),
    "2022.2",
    "EAC",
    "Release",
    _MOMENT,
    [ARTIFACT],
    major_version="2022",
    minor_version="2",
)
DOWNLOAD_URL = DownloadUrl(
    f"{_HUB}/dl/1.5f3a.../studio-2022.2-linux.tgz",
    f"Download Url for {_ARTIFACT_ID}",
)
RELEASE_ZIP = ReleaseZip(
    f"{_HUB}/dl/1.5f3a.../DS000B-2022.2.zip",
    f"Download Url for all files of {_RELEASE_ID}",
    "DS000B-2022.2.zip",
    1_234_801,
)
PERMISSION = Permission(
    False,
    EntitlementId("169189"),
    PermissionProduct("DS000B"),
    PermissionRelease(_RELEASE_ID, "2022.2"),
    PermissionArtifact(_ARTIFACT_ID, "studio-2022.2-linux.tgz", 1_234_567),
    [
        Check("entitlement", "passed", "The entitlement is valid.", begins=_MOMENT),
        Check(
            "maintenance",
            "failed",
            "The maintenance period ended on 2026-01-31; this release came later.",
            "maintenance-ended",
            "Renew the maintenance with the publisher to get later ones.",
            ends=_MOMENT,
        ),
        Check("quota", "not-reached"),
    ],
    "maintenance-ended",
)
PERMISSIONS = PermissionPage(1, [PERMISSION])
ENTITLEMENTS = EntitlementPage(1, [ENTITLEMENT])
RELEASES = ReleasePage(1, [RELEASE])
_NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
_FILE = PermittedFile(
    ARTIFACT.file_name,
    ARTIFACT.file_size,
    0,
    ARTIFACT.sha256,
    ARTIFACT.md5,
    ARTIFACT.id,
)
METALINK = ResponseSpec(
    str,
    generate_examples=False,
    description="Metalink 4 (RFC 5854): each file with its digests and a link good for 10 minutes.",
    media_type=MEDIA_TYPE,
    examples=[
        Example(
            value=write_metalink(
                PermittedArtifacts(
                    169189, "DS000B", RELEASE.id, RELEASE.name, _NOON, None, [_FILE]
                ),
                [
                    Offered(
                        _FILE,
                        IssuedLink(
                            "1.5f3a.../studio-2022.2-linux.tgz", "", _NOON + timedelta(0, 600)
                        ),
                    )
                ],
                publisher="hub.example.com",
                public_url=_HUB,
                now=_NOON,
            ).decode()
        )
    ],
)
