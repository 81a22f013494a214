"""Signed manifests of releases: metadata by TUF, one repository per product."""

from entrepot.core.manifests import tables as tables
