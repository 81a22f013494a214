"""Examples of answers: a value for each field's name, put together as the schema says.

The values belong to one small world (an organisation, its product, a release of it), so that an
id in one example is the id of the thing in another, and in the requests that are written out.
What is without a value here has no example, and tests/doors/test_openapi_document.py fails.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

Schema: TypeAlias = Mapping[str, Any]

HUB = "https://hub.example.com"
MOMENT = "2026-01-31T12:00:00.000Z"
LATER = "2027-01-31T12:00:00.000Z"
ENTITLEMENT, PRODUCT, ORGANISATION, USER = 169189, 3066, 1001, 10001
PRODUCT_CODE, LICENCE, CLIENT = "DS000B", "TOOLS", "example-ci"
ORGANISATION_NAME = "Example Semiconductors"
RELEASE_ID = "d2650553-3806-4c0e-92d7-2e46fd468074"
ARTIFACT_ID = "7db814ee-c1e3-4d68-a65d-a7e6b437e1ef"
ASSET, ORDER, WEBHOOK, DOWNLOAD, PERSONAL_TOKEN = 20001, 50001, 7, 48646, 4
DELIVERY, FILE_NAME, EMAIL = "msg_2nRk0000001042", "studio-2022.2-linux.tgz", "ada@example.com"
_SHA256 = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
_MD5 = "0cc175b9c0f1b6a831c399e269772661"
_LINK = f"{HUB}/dl/AQ.../{FILE_NAME}"

# A value for each name; what is a name of several things is in _OF_SCHEMA as well.
_FIELDS: Mapping[str, Any] = {
    **dict.fromkeys(("created_at", "changed_at", "available_at", "published_at"), MOMENT),
    **dict.fromkeys(("activated_at", "valid_from", "maintenance_from", "at"), MOMENT),
    **dict.fromkeys(("valid_to", "maintenance_to", "expires_at", "expires_on"), LATER),
    **dict.fromkeys(("started_at", "last_byte_at", "completed_at", "ended_at"), MOMENT),
    **dict.fromkeys(("started_on", "completed_on", "created_on", "modified_on"), MOMENT),
    **dict.fromkeys(("signs_from", "createdOn", "modifiedOn"), MOMENT),
    **dict.fromkeys(("disabled_at", "disabled_why", "revoked_at", "used_at"), None),
    **dict.fromkeys(("retires_at", "due_at", "former_until", "failing_since"), None),
    **dict.fromkeys(("disabledOn", "disabledWhy", "returns_at", "process"), None),
    **dict.fromkeys(("pinned_licence", "pinned_revision", "members", "next", "previous"), None),
    **dict.fromkeys(("compliance_reason", "additional_info", "sub_pool_id", "culture"), None),
    **dict.fromkeys(("downloads_max", "bytes_max", "addresses_max", "next_page"), None),
    **dict.fromkeys(("downloads_used", "bytes_used", "addresses_used", "offset"), 0),
    **dict.fromkeys(("files_failed",), 0),
    **dict.fromkeys(("total", "total_items", "returned_items", "revision", "attempts"), 1),
    **dict.fromkeys(("files_total", "files_completed", "file_count", "target_count"), 1),
    **dict.fromkeys(("size", "bytes_sent", "bytes_total"), 1_234_567),
    **dict.fromkeys(("free", "blocked", "grouped", "controlled", "eccn_restricted"), False),
    **dict.fromkeys(("templated", "everything", "has_conversions", "default"), False),
    **dict.fromkeys(("listed", "has_password", "active", "success", "converted"), True),
    "organisation_id": ORGANISATION,
    "organisation_name": ORGANISATION_NAME,
    "country": "DE",
    "product_id": PRODUCT,
    "product_code": PRODUCT_CODE,
    "licence_code": LICENCE,
    "entitlement_id": ENTITLEMENT,
    "release_id": RELEASE_ID,
    "release_name": "2022.2",
    "artifact_id": ARTIFACT_ID,
    "order_id": None,
    "asset_id": None,
    "product_download_id": None,
    "user_id": USER,
    "client_id": CLIENT,
    "client_secret": "shown-once-and-never-again",
    "webhook_id": WEBHOOK,
    "event_id": 1042,
    "code": PRODUCT_CODE,
    "name": "Development Studio",
    "description": "The studio with all its tools.",
    "title": "Data sheet",
    "text": "You may use it as agreed.",
    "text_html": "<p>You may use it as agreed.</p>",
    "email": EMAIL,
    "given_name": "Ada",
    "family_name": "Example",
    "display_name": "Ada Example",
    "username": EMAIL,
    "organisation": ORGANISATION_NAME,
    "roles": ["customer"],
    "scopes": ["entitlements"],
    "grants": ["client_credentials"],
    "redirect_uris": [],
    "public": False,
    "pkce": True,
    "networks": ["192.0.2.0/24"],
    "created_by": f"user:{USER}",
    "createdBy": USER,
    "modifiedBy": None,
    "actor": f"user:{USER}",
    "subject": "release:31",
    "principal": f"user:{USER}",
    "request_id": "0d9a41f2c1f04b1f",
    "reason": None,
    "data": {"product": PRODUCT_CODE, "name": "2022.2"},
    "us_eccn": ["5D992"],
    "delivery_method": "download",
    "foundries": ["Example Foundry"],
    "qualities": ["EAC"],
    "design_start": ["Example Foundry"],
    "allowed_countries": ["DE"],
    "right_to": "download",
    "compliance": "approved",
    "sales_order_item": "4711",
    "quality": "EAC",
    "type": "Release",
    "patch": None,
    "major_version": "2022",
    "minor_version": "2",
    "position": 1,
    "file_name": FILE_NAME,
    "content_type": "application/gzip",
    "repository": "general",
    "md5": _MD5,
    "sha256": _SHA256,
    "identifier": "spring-dunes",
    "folder": "spring/print",
    "facts": {"width": 6000, "height": 4000},
    "kid": "2026-01-31-token",
    "url": "https://shop.example.com/hooks",
    "events": ["product/*"],
    "secret": "whsec_c2hvd24tb25jZS1hbmQtbmV2ZXItYWdhaW4=",
    "body": '{"type":"product/changed","timestamp":"2026-01-31T12:00:00Z","data":{}}',
    "milliseconds": 84,
    "token": "ept_shown-once-and-never-again",
    "status": 200,
    "message": "The studio is ready.",
    # OAuth and OpenID Connect
    "access_token": "eyJhbGciOiJSUzI1NiIsImtpZCI6...",
    "refresh_token": "rotated-at-each-use",
    "id_token": "eyJhbGciOiJSUzI1NiIsImtpZCI6...",
    "token_type": "Bearer",
    "scope": "entitlements",
    "expires_in": 3600,
    "interval": 5,
    "device_code": "polled-with-until-a-person-has-decided",
    "user_code": "WDJB-MJHT",
    "verification_uri": f"{HUB}/device",
    "verification_uri_complete": f"{HUB}/device?user_code=WDJB-MJHT",
    "sub": f"user:{USER}",
    "aud": HUB,
    "iss": HUB,
    "jti": "1f3c9e0a5b6d4c7e",
    "iat": 1_769_860_800,
    "exp": 1_769_864_400,
    "kty": "RSA",
    "use": "sig",
    "alg": "RS256",
    "n": "u1SU1LfVLPHCozMxH2Mo4lgOEePzNm0tRgeLezV6ffAt0gun...",
    "e": "AQAB",
    "issuer": HUB,
    "authorization_endpoint": f"{HUB}/oauth/authorize",
    "token_endpoint": f"{HUB}/oauth/token",
    "device_authorization_endpoint": f"{HUB}/oauth/device_authorization",
    "revocation_endpoint": f"{HUB}/oauth/revoke",
    "introspection_endpoint": f"{HUB}/oauth/introspect",
    "userinfo_endpoint": f"{HUB}/oauth/userinfo",
    "jwks_uri": f"{HUB}/.well-known/jwks.json",
    "scopes_supported": ["entitlements", "orders", "products"],
    "response_types_supported": ["code"],
    "response_modes_supported": ["query"],
    "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
    "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
    "revocation_endpoint_auth_methods_supported": ["client_secret_basic"],
    "introspection_endpoint_auth_methods_supported": ["client_secret_basic"],
    "code_challenge_methods_supported": ["S256"],
    "authorization_response_iss_parameter_supported": True,
    "subject_types_supported": ["public"],
    "id_token_signing_alg_values_supported": ["RS256"],
    "claims_supported": ["iss", "sub", "aud", "exp", "iat"],
    "request_parameter_supported": False,
    "request_uri_parameter_supported": False,
    "prompt_values_supported": ["none", "login", "consent", "select_account"],
    # Download orders
    "href": f"{HUB}/api/entities/{ASSET}",
    "filename_properties": [],
    "file_version": "0.1.0",
    "product_version": "0.1.0",
    "minimum_sdk_version": "1.0.0",
    "routes": {"downloadorder_by_id": {"href": f"{HUB}/api/downloadorders/{{id}}"}},
    "default_renditions": ["downloadOriginal"],
    "renditions": ["downloadOriginal", "thumbnail"],
    "aliases": [],
    "media_groups": {"M.AssetMedia.Images": [{"type": "resize", "value": {"width": 1600}}]},
    "template": "{group}/{name}_{rendition}",
    "job_id": ORDER,
    "condition": "Success",
    "rendition": "downloadOriginal",
    "kind": "standard",
    "extension": "jpg",
    "selection_pool": "basket",
    "definition_name": "M.Asset",
}
# Where a name says something else, or something more telling, in one schema.
_OF_SCHEMA: Mapping[str, Mapping[str, Any]] = {
    "AttemptItem": {"reason": ""},
    "ClientItem": {"name": "Build server"},
    "DeliveryDetails": {"id": DELIVERY, "type": "product/changed", "state": "delivered"},
    "DeliveryItem": {"id": DELIVERY, "type": "product/changed", "state": "delivered"},
    "Entity": {"id": ASSET, "title": {"en-US": "Dunes"}, "file_name": "dunes.jpg"},
    "EventItem": {"id": 1042, "type": "release.available"},
    "Job": {"state": "Completed", "errors": []},
    "JobError": {
        "asset_id": ASSET,
        "code": "media-damaged",
        "message": "It is damaged.",
        "remedy": "Replace the file by an undamaged one, then order it again.",
    },
    "KeyItem": {"purpose": "token"},
    "LicenceItem": {"code": LICENCE, "name": "Terms of use"},
    "LicenceText": {"code": LICENCE, "name": "Terms of use"},
    "Link": {"title": None},
    "MediaGroup": {"id": 1, "identifier": "M.AssetMedia.Images"},
    "NamedRecipe": {"name": "web", "title": "For the web: WebP, 1600 pixels at most"},
    "Nothing": {},
    "Order": {"order_id": ORDER, "name": "Spring campaign", "status": "Completed"},
    "OrderList": {"identifier": "downloadorders"},
    "OrganisationItem": {"id": ORGANISATION, "name": ORGANISATION_NAME},
    "PersonalTokenItem": {"id": PERSONAL_TOKEN, "name": "Build server"},
    "PersonalTokenValue": {"id": PERSONAL_TOKEN, "name": "Build server"},
    "ProductItem": {"id": PRODUCT},
    "ReleaseWithArtifacts": {
        "id": RELEASE_ID,
        "name": "2022.2",
        "revision": "r2p0",
        "state": "available",
    },
    "Rendition": {
        "name": "downloadOriginal",
        "content_type": "image/jpeg",
        "description": None,
        "download_location": None,
    },
    "Resolver": {"id": "by-group", "title": "In a folder for each group"},
    "Selection": {"items": [ASSET]},
    "StoredArtifact": {"id": ARTIFACT_ID, "name": "Linux installer", "type": "Installer"},
    "StoredAsset": {
        "id": ASSET,
        "title": {"en-US": "Dunes"},
        "media_group": "Images",
        "file_name": "dunes.jpg",
        "content_type": "image/jpeg",
        "visibility": "entitled",
    },
    "StoredEntitlement": {"id": ENTITLEMENT},
    "StoredRelease": {
        "id": RELEASE_ID,
        "name": "2022.2",
        "revision": "r2p0",
        "state": "available",
    },
    "User": {"id": str(USER)},
    "UserInfo": {"name": "Ada Example"},
    "UserItem": {"id": USER},
    "WebhookItem": {"id": WEBHOOK, "description": "The shop"},
    "WebhookSecret": {"id": WEBHOOK},
    "admin_api__wire_downloads_DownloadItem": {"id": 881, "kind": "artifact"},
    "admin_api__wire_webhooks_WebhookItem": {"id": WEBHOOK, "description": "The shop"},
}
_PROBLEMS: Mapping[int, tuple[str, str, str | None]] = {
    400: ("A product's code is told twice.", "value-invalid", "code"),
    401: ("This needs an access token.", "token-missing", None),
    403: ("The access token does not carry the scope 'admin'.", "scope-required", None),
    404: ("There is no such object.", "not-found", None),
    408: ("The body did not come within 60 s.", "body-late", None),
    409: ("There is a product with this code already.", "already-there", "code"),
    410: ("The link has expired.", "link-expired", None),
    413: ("The body is larger than this hub takes.", "body-too-large", None),
    429: ("Too many requests.", "too-many-requests", None),
    503: ("The database is busy.", "database-busy", None),
    507: ("There is no room for the file.", "storage-full", None),
}
_FAULTS: Mapping[int, tuple[str, str]] = {
    400: ("invalid_grant", "The code has been used, or has expired."),
    401: ("invalid_client", "The client's credentials are wrong."),
    403: ("insufficient_scope", "The access token lacks a scope."),
    408: ("invalid_request", "The body did not come within 60 s."),
    413: ("invalid_request", "The body is too large."),
    429: ("temporarily_unavailable", "Too many wrong secrets: wait."),
    503: ("temporarily_unavailable", "The database is busy: try again."),
}

_LINE = '{"id":1042,"at":"2026-01-31T12:00:00.000Z","type":"release.available"}\n'
# Answers in other forms than the one that a door's wire describes.
ANSWERS: Mapping[str, Any] = {
    "listEvents": {
        "application/jsonl": {
            "schema": {"type": "string"},
            "examples": {"usual": {"value": _LINE}},
        },
        "text/csv": {
            "schema": {"type": "string"},
            "examples": {"usual": {"value": f"id,at,type\n1042,{MOMENT},release.available\n"}},
        },
    }
}


def sample(schema: Schema, schemas: Mapping[str, Schema], status: int) -> Any:
    """An example of what an answer with `status` holds. KeyError: a field has no value here."""
    reference = str(schema.get("$ref", "")).rpartition("/")[2]
    if reference == "Problem":
        title, code, field = _PROBLEMS.get(status, ("No.", "refused", None))
        return {"title": title, "status": status, "code": code} | (
            {"field": field} if field else {}
        )
    if reference == "oauth__wire_Fault":
        return dict(zip(("error", "error_description"), _FAULTS[status], strict=True))
    return _of(schema, schemas, "", "")


def _of(schema: Schema, schemas: Mapping[str, Schema], owner: str, field: str) -> Any:
    told = _OF_SCHEMA.get(owner, {})
    if field in told:
        return told[field]
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _object(schemas[name], schemas, name)
    if "items" in schema and "$ref" in schema["items"]:
        return [_of(schema["items"], schemas, owner, "")]
    choices = [one for one in schema.get("oneOf", ()) if "$ref" in one]
    if choices and field not in _FIELDS:
        return _of(choices[0], schemas, owner, field)
    if not field and "properties" in schema:
        return _object(schema, schemas, owner)
    return _FIELDS[field]


def _object(schema: Schema, schemas: Mapping[str, Schema], name: str) -> dict[str, Any]:
    return {
        field: _of(part, schemas, name, field)
        for field, part in schema.get("properties", {}).items()
    }
