"""Who may have what: entitlements, accepted licences, and the one permission predicate."""

from entrepot.core.entitlements.agreements import (
    Acceptance,
    Signature,
    accept_licence,
    acceptance,
    list_signatures,
    permitted_licence,
)
from entrepot.core.entitlements.asset_permission import (
    asset_condition,
    granted_products,
    list_permitted_assets,
    permitted_asset,
    permitted_asset_for,
    products_with_any_right,
)
from entrepot.core.entitlements.granting import (
    Grant,
    change_entitlement,
    find_entitlement,
    grant,
    list_all_entitlements,
    revoke,
)
from entrepot.core.entitlements.owned import (
    STATUSES,
    list_entitlements,
    permitted_entitlement,
    refer,
)
from entrepot.core.entitlements.permitting import (
    describe_artifact,
    list_permitted_releases,
    permitted_artifact,
    permitted_artifacts,
    permitted_release,
)
from entrepot.core.entitlements.predicate import Reference, child_number, take_apart
from entrepot.core.entitlements.reasons import REASONS
from entrepot.core.entitlements.views import (
    Artifact,
    ArtifactRequest,
    Entitlement,
    EntitlementFilter,
    PermittedArtifact,
    PermittedArtifacts,
    PermittedAsset,
    PermittedFile,
    ProductFacts,
    Release,
    ReleaseFilter,
)

__all__ = [
    "REASONS",
    "STATUSES",
    "Acceptance",
    "Artifact",
    "ArtifactRequest",
    "Entitlement",
    "EntitlementFilter",
    "Grant",
    "PermittedArtifact",
    "PermittedArtifacts",
    "PermittedAsset",
    "PermittedFile",
    "ProductFacts",
    "Reference",
    "Release",
    "ReleaseFilter",
    "Signature",
    "accept_licence",
    "acceptance",
    "asset_condition",
    "change_entitlement",
    "child_number",
    "describe_artifact",
    "find_entitlement",
    "grant",
    "granted_products",
    "list_all_entitlements",
    "list_entitlements",
    "list_permitted_assets",
    "list_permitted_releases",
    "list_signatures",
    "permitted_artifact",
    "permitted_artifacts",
    "permitted_asset",
    "permitted_asset_for",
    "permitted_entitlement",
    "permitted_licence",
    "permitted_release",
    "products_with_any_right",
    "refer",
    "revoke",
    "take_apart",
]
