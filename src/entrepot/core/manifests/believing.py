"""What is to be believed of a bundle's index, where a publisher's signed manifests are at hand.

Whoever carried the bundle could have written its index. What differs from what was signed is
refused; what was not signed is not taken over, unless it makes things stricter: nobody turns a
file that takers have to declare a country for into one that they have not, and no product loses
its export classification.
"""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from entrepot.core.catalogue.bundles import (
    Bundle,
    BundledArtifact,
    BundledLicence,
    BundledProduct,
    BundledRelease,
    Index,
)
from entrepot.core.catalogue.products import LIST_LENGTH_MAX
from entrepot.core.catalogue.repositories import CONTROLLED, is_controlled
from entrepot.core.manifests.documents import FORMAT, KIND, release_facts


class Belief:
    """The index of a bundle as its publishers signed it, a release at a time."""

    def __init__(self, bundle: Bundle) -> None:
        self.unclassified: list[BundledRelease] = []
        self._bundle = bundle
        self._told = {one.code: one for one in bundle.index.products}
        self._texts = {(one.code, one.revision): one for one in bundle.index.licences}
        self._products: dict[str, BundledProduct] = {}
        self._licences: dict[tuple[str, int], BundledLicence] = {}
        self._releases: list[BundledRelease] = []

    def compare(self, release: BundledRelease, signed: Mapping[str, Any]) -> None:
        """Hold a release of the index against its manifest, whose signature was verified.

        ValueError, KeyError or TypeError where it says something else.
        """
        if (signed["kind"], signed["format"]) != (KIND, FORMAT):
            raise ValueError("its manifest is of a format that is not known here")
        _same("product", release.product, signed["product"]["code"])
        facts = release_facts(release, available_at=release.available_at)
        _same("release", facts, signed["release"])
        product = self._told[release.product]
        self._compare_licence(product, signed["licence"])
        files = signed["files"]
        if len(files) != len(release.artifacts):
            raise _differs("files")
        pairs = list(zip(release.artifacts, files, strict=True))
        artifacts = [self._compare_file(artifact, file) for artifact, file in pairs]
        if any("repository" not in file for file in files):
            self.unclassified.append(release)
        self._releases.append(replace(release, artifacts=artifacts))
        before = self._products.get(release.product) or _without_names(product)
        self._products[release.product] = _stricter(before, signed["product"])

    def _compare_licence(self, product: BundledProduct, signed: Mapping[str, Any] | None) -> None:
        if product.licence is None or signed is None:
            _same("licence", product.licence, signed)
            return
        key = (product.licence.code, product.licence.revision)
        told = self._texts[key]
        said = {"code": told.code, "revision": told.revision, "sha256": told.sha256}
        _same("licence", said, {name: signed[name] for name in said})
        self._licences[key] = replace(told, name=_text(signed.get("name", told.code)))

    def _compare_file(self, told: BundledArtifact, signed: Mapping[str, Any]) -> BundledArtifact:
        said = {
            "artifactId": told.id,
            "name": told.file_name,
            "size": told.size,
            "sha256": told.sha256,
            "chunks": self._bundle.stored[told.sha256].chunks.hex(),
        }
        _same("files", said, {key: signed[key] for key in said})
        if "repository" not in signed:  # an older manifest
            kept = told.repository if is_controlled(told.repository) else CONTROLLED
            return replace(told, name="", description="", type="File", repository=kept)
        _same("files", told.repository, signed["repository"])
        return replace(
            told,
            name=_text(signed["title"]),
            description=_text(signed["description"]),
            type=_text(signed["type"]),
        )

    def index(self) -> Index:
        """What is believed, once every release was compared."""
        return replace(
            self._bundle.index,
            products=list(self._products.values()),
            licences=list(self._licences.values()),
            releases=self._releases,
        )


def _without_names(product: BundledProduct) -> BundledProduct:
    """What is left of a product before its publisher was heard."""
    return replace(product, name=product.code, delivery_method="download")


def _stricter(before: BundledProduct, signed: Mapping[str, Any]) -> BundledProduct:
    """With the signed name; numbers and restrictions are only ever added, signed ones first."""
    numbers = [*(_text(each) for each in signed.get("usECCN", ())), *before.us_eccn]
    return replace(
        before,
        name=_text(signed["name"]),
        us_eccn=list(dict.fromkeys(numbers))[:LIST_LENGTH_MAX],
        eccn_restricted=before.eccn_restricted or signed.get("eccnRestricted") is not False,
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text in its manifest is none")
    return value


def _same(what: str, told: object, signed: object) -> None:
    if told != signed:
        raise _differs(what)


def _differs(what: str) -> ValueError:
    return ValueError(f"what the bundle says of its {what} is not what was signed")
