"""Signed manifests of releases: metadata by TUF, one repository per product.

What is re-exported here is read while somebody waits. What signs (`key_files`, `papers`, `roots`,
`signing`, `online`) brings python-tuf along, so that whoever needs it imports it where it is used.
"""

from entrepot.core.manifests.due import list_due, list_to_sign
from entrepot.core.manifests.lives import Lives
from entrepot.core.manifests.reading import (
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    SignedState,
    find_manifest,
    find_metadata,
    list_signed_products,
    signed_state,
)

__all__ = [
    "ROOT",
    "SNAPSHOT",
    "TARGETS",
    "TIMESTAMP",
    "Lives",
    "SignedState",
    "find_manifest",
    "find_metadata",
    "list_due",
    "list_signed_products",
    "list_to_sign",
    "signed_state",
]
