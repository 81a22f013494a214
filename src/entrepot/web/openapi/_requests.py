"""Examples of requests: bodies by operation, parameters by name.

They belong to the world of `_samples`, and follow each other: what one makes, the next names.
"""

from collections.abc import Mapping
from typing import Any

from entrepot.web.openapi import _samples as world

# Bodies that the doors do not describe by themselves: by operation id, then by media type.
BODIES: Mapping[str, Any] = {
    "requestToken": {
        "grant_type": "client_credentials",
        "client_id": world.CLIENT,
        "client_secret": "the secret that was shown once",
        "scope": "entitlements",
    },
    "authorizeDevice": {"client_id": "example-device", "scope": "entitlements"},
    "revokeToken": {
        "token": "eyJhbGciOiJSUzI1NiIsImtpZCI6...",
        "client_id": world.CLIENT,
        "client_secret": "the secret that was shown once",
    },
    "introspectToken": {
        "token": "eyJhbGciOiJSUzI1NiIsImtpZCI6...",
        "client_id": world.CLIENT,
        "client_secret": "the secret that was shown once",
    },
    "addOrganisation": {"name": world.ORGANISATION_NAME, "country": "DE"},
    "addUser": {
        "email": world.EMAIL,
        "given_name": "Ada",
        "family_name": "Example",
        "organisation": world.ORGANISATION_NAME,
        "roles": ["customer"],
    },
    "setRoles": {"roles": ["customer", "organisation-admin"]},
    "setPassword": {"password": "a long sentence is a good password"},
    "makePersonalToken": {
        "name": "Build server",
        "scopes": ["entitlements"],
        "days": 90,
        "networks": ["192.0.2.0/24"],
    },
    "addClient": {
        "client_id": world.CLIENT,
        "name": "Build server",
        "organisation": world.ORGANISATION_NAME,
        "scopes": ["entitlements"],
        "roles": ["customer"],
    },
    "addLicence": {
        "code": world.LICENCE,
        "name": "Terms of use",
        "text": "You may use it as agreed.",
    },
    "reviseLicence": {"text": "You may use it as agreed, until further notice."},
    "addProduct": {
        "code": world.PRODUCT_CODE,
        "name": "Development Studio",
        "description": "The studio with all its tools.",
        "us_eccn": ["5D992"],
        "licence_code": world.LICENCE,
    },
    "changeProduct": {"description": "The studio, and nothing else."},
    "createRelease": {
        "name": "2022.2",
        "revision": "r2p0",
        "major_version": "2022",
        "minor_version": "2",
    },
    "makeReleaseAvailable": {"available_at": "2026-01-31T12:00:00Z"},
    "uploadArtifact": "the bytes of the file",
    "uploadAsset": "the bytes of the file",
    "replaceAssetFile": "the bytes of the new file",
    "changeAsset": {"title": {"en-US": "Dunes", "de": "Dünen"}, "folder": "spring/print"},
    "grantEntitlement": {
        "organisation": world.ORGANISATION_NAME,
        "product": world.PRODUCT_CODE,
        "maintenance_to": "2027-01-31T12:00:00Z",
        "allowed_countries": ["DE", "GB"],
    },
    "changeEntitlement": {"maintenance_to": "2028-01-31", "downloads_max": 100},
    "rotateKeys": {"purpose": "link"},
    "addWebhook": {
        "url": "https://shop.example.com/hooks",
        "events": ["product/*", "order/completed"],
        "description": "The shop",
    },
    "changeWebhook": {"events": ["product/*"]},
}
_FORM = {"title": "Data sheet", "visibility": "public"}
FORMS: Mapping[str, Any] = {
    "createProductDownload": {"file": "the bytes of the file", **_FORM},
    "updateProductDownload": _FORM,
}
# By "operation.parameter", else by the parameter's name.
PARAMETERS: Mapping[str, Any] = {
    "after": 0,
    "actor": f"user:{world.USER}",
    "artifact": world.ARTIFACT_ID,
    "artifact_id": world.ARTIFACT_ID,
    "asset": str(world.ASSET),
    "before": 1042,
    "client_id": world.CLIENT,
    "content_type": "application/gzip",
    "culture": "en-US",
    "declared-country-code": "DE",
    "definition": "M.Asset",
    "delivery": world.DELIVERY,
    "description": "64-bit",
    "download_id": str(world.DOWNLOAD),
    "entitlement_id": str(world.ENTITLEMENT),
    "entity_id": str(world.ASSET),
    "file_name": world.FILE_NAME,
    "folder": "spring/print",
    "format": "json",
    "group": "Images",
    "id": str(world.DOWNLOAD),
    "identifier": "spring-dunes",
    "licence": world.LICENCE,
    "name": "Linux installer",
    "fetchRendition.name": "downloadOriginal",
    "order_id": str(world.ORDER),
    "organisation": world.ORGANISATION_NAME,
    "pool": "basket",
    "product": world.PRODUCT_CODE,
    "release_id": world.RELEASE_ID,
    "repository": "general",
    "revision": "1",
    "since": "2026-01-01",
    "skip": 0,
    "state": "delivered",
    "subject": "release:31",
    "take": 100,
    "title": "Dunes",
    "token": "AQ...",
    "token_id": str(world.PERSONAL_TOKEN),
    "type": "Installer",
    "listEvents.type": "release.available",
    "uncontrolled": False,
    "until": "2026-02-01",
    "uploadAsset.file_name": "dunes.jpg",
    "replaceAssetFile.file_name": "dunes.jpg",
    "user": world.EMAIL,
    "user_id": str(world.USER),
    "visibility": "public",
    "webhook": str(world.WEBHOOK),
}
