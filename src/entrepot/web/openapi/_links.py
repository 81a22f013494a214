"""Links between operations: where an answer's id leads (OpenAPI 3.1, Link Object).

`IN_ADDRESS` are answers that hold a whole address: OpenAPI cannot take an address apart into
parameters, so those links carry it as `x-address` and no parameters.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Way:
    """To these operations, with these parameters, as runtime expressions.

    Parameters of the target's path that the source's path has too are added by themselves.
    """

    targets: tuple[str, ...]
    given: Mapping[str, str] = field(default_factory=dict)


def _body(pointer: str) -> str:
    return f"$response.body#/{pointer}"


_FIRST = "items/0/id"
_OF_RELEASE = ("showProductRelease", "uploadArtifact", "makeReleaseAvailable")
_OF_ORDER = ("listTargets", "showJob", "watchOrder", "cancelOrder", "retryOrder")
_OF_USER = ("showUser", "setRoles", "setPassword", "disableUser", "enableUser")
_OF_WEBHOOK = (
    *("showWebhook", "changeWebhook", "rotateWebhookSecret", "pingWebhook"),
    *("listDeliveries", "disableWebhook", "enableWebhook", "removeWebhook"),
)
_OF_OWN = ("showOwnWebhook", "changeOwnWebhook", "removeOwnWebhook")
_OF_DOWNLOAD = ("showProductDownload", "updateProductDownload", "removeProductDownload")

WAYS: Mapping[str, tuple[Way, ...]] = {
    # From an entitlement to the bytes
    "listEntitlements": (
        Way(("showEntitlement", "listReleases"), {"entitlement_id": _body(_FIRST)}),
    ),
    "showEntitlement": (Way(("listReleases", "showRequiredLicence")),),
    "showRequiredLicence": (Way(("acceptRequiredLicence",)),),
    "listReleases": (
        Way(
            ("showRelease", "issueReleaseZipUrl", "writeReleaseMetalink"),
            {"release_id": _body(_FIRST)},
        ),
        Way(
            ("showArtifact",),
            {"release_id": _body(_FIRST), "artifact_id": _body("items/0/artifacts/0/id")},
        ),
    ),
    "showRelease": (
        Way(("issueReleaseZipUrl", "writeReleaseMetalink")),
        Way(("showArtifact",), {"artifact_id": _body("artifacts/0/id")}),
    ),
    "showArtifact": (Way(("issueDownloadUrl", "issueTransferSpec", "explainPermission")),),
    # Orders
    "placeOrder": (Way(("showOrder", *_OF_ORDER), {"order_id": _body("order_id")}),),
    "listOrders": (Way(("showOrder",), {"order_id": _body("items/0/order_id")}),),
    "showOrder": (Way(_OF_ORDER),),
    "cancelOrder": (Way(("showOrder", "retryOrder")),),
    "retryOrder": (Way(("showOrder", "watchOrder")),),
    "changeSelection": (Way(("showSelection", "clearSelection")),),
    "changePool": (Way(("listSelections", "clearPool")),),
    "listEntities": (Way(("showEntity", "listEntityRenditions"), {"entity_id": _body(_FIRST)}),),
    "showEntity": (Way(("listEntityRenditions",)),),
    "listEntityRenditions": (Way(("fetchRendition",), {"name": _body("items/0/name")}),),
    # Downloads of products, and webhooks of one's own
    "listProductDownloads": (Way(("showProductDownload",), {"id": _body("data/0/id")}),),
    "createProductDownload": (Way(_OF_DOWNLOAD, {"id": _body("data/id")}),),
    "showProductDownload": (Way(_OF_DOWNLOAD[1:]),),
    "listOwnWebhooks": (Way(_OF_OWN[:1], {"id": _body("data/0/id")}),),
    "addOwnWebhook": (
        Way(_OF_OWN, {"id": _body("data/id")}),
        Way(("rotateOwnWebhookSecret",), {"webhook": _body("data/id")}),
    ),
    # Publishing
    "listProducts": (Way(("showProduct", "listProductReleases"), {"product": _body(_FIRST)}),),
    "addProduct": (
        Way(
            ("showProduct", "changeProduct", "createRelease", "listProductReleases"),
            {"product": _body("code")},
        ),
        Way(("createProductDownload", "listProductDownloads"), {"product": _body("code")}),
    ),
    "showProduct": (Way(("changeProduct", "createRelease", "listProductReleases")),),
    "listProductReleases": (Way(("showProductRelease",), {"release_id": _body(_FIRST)}),),
    "createRelease": (Way((*_OF_RELEASE, "discardRelease"), {"release_id": _body("id")}),),
    "uploadArtifact": (
        Way(("showReleaseArtifact", "removeArtifact"), {"artifact_id": _body("id")}),
        Way(("makeReleaseAvailable",)),
    ),
    "makeReleaseAvailable": (Way(("showProductRelease", "withdrawRelease")),),
    "listLicences": (Way(("showLicence",), {"licence": _body("items/0/code")}),),
    "addLicence": (
        Way(("showLicence", "reviseLicence"), {"licence": _body("code")}),
        Way(("showLicenceRevision",), {"licence": _body("code"), "revision": _body("revision")}),
    ),
    "reviseLicence": (Way(("showLicenceRevision",), {"revision": _body("revision")}),),
    "listAssets": (Way(("showAsset",), {"asset": _body(_FIRST)}),),
    "uploadAsset": (
        Way(
            ("showAsset", "changeAsset", "replaceAssetFile", "deleteAsset"), {"asset": _body("id")}
        ),
    ),
    # Administering
    "listAllEntitlements": (Way(("showStoredEntitlement",), {"entitlement_id": _body(_FIRST)}),),
    "grantEntitlement": (
        Way(
            ("showStoredEntitlement", "changeEntitlement", "showQuota", "revokeEntitlement"),
            {"entitlement_id": _body("id")},
        ),
    ),
    "listOrganisations": (Way(("showOrganisation",), {"organisation": _body(_FIRST)}),),
    "addOrganisation": (
        Way(
            ("showOrganisation", "blockOrganisation", "unblockOrganisation"),
            {"organisation": _body("id")},
        ),
    ),
    "listUsers": (Way(("showUser",), {"user": _body(_FIRST)}),),
    "addUser": (
        Way((*_OF_USER, "makePersonalToken", "listPersonalTokens"), {"user": _body("id")}),
    ),
    "makePersonalToken": (
        Way(("showPersonalToken", "revokePersonalToken"), {"token_id": _body("id")}),
    ),
    "listPersonalTokens": (Way(("showPersonalToken",), {"token_id": _body(_FIRST)}),),
    "listClients": (Way(("showClient",), {"client_id": _body("items/0/client_id")}),),
    "addClient": (
        Way(("showClient", "disableClient", "enableClient"), {"client_id": _body("client_id")}),
    ),
    "listWebhooks": (Way(("showWebhook", "listDeliveries"), {"webhook": _body(_FIRST)}),),
    "addWebhook": (Way(_OF_WEBHOOK, {"webhook": _body("id")}),),
    "pingWebhook": (Way(("showDelivery", "redeliver"), {"delivery": _body("id")}),),
    "listDeliveries": (Way(("showDelivery", "redeliver"), {"delivery": _body(_FIRST)}),),
}
# operation -> (operation that the address belongs to, where the address is)
IN_ADDRESS: Mapping[str, tuple[str, str]] = {
    "issueDownloadUrl": ("followLink", _body("downloadUrl")),
    "issueReleaseZipUrl": ("followLink", _body("downloadUrl")),
    "showOrder": ("followLink", _body("download_location/href")),
    "fetchRendition": ("followLink", "$response.header.Location"),
    "createProductDownload": ("followProductDownload", _body("data/file")),
    "showProductDownload": ("followProductDownload", _body("data/file")),
    "followProductDownload": ("followLink", "$response.header.Location"),
}
