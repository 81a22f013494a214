"""The SDK: one object that speaks the entitlement API of one hub and downloads from it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from entrepot.client.answers import JsonObject
from entrepot.client.api import Api, TokenSource
from entrepot.client.auth import GivenToken
from entrepot.client.connections import Times, parse_hub_address
from entrepot.client.countries import country_code, declaring, is_controlled
from entrepot.client.downloader import Conditions, Downloaded, Watcher, download, parse_link
from entrepot.client.errors import BadAnswer
from entrepot.client.folders import Folders
from entrepot.client.licences import Licences
from entrepot.client.link_stock import LinkStock
from entrepot.client.names import safe_name
from entrepot.client.pool import Pool
from entrepot.client.rates import RateLimit
from entrepot.client.retries import Backoff
from entrepot.client.stop import Stop
from entrepot.client.tokens import claims_or_none
from entrepot.client.verification import Expected, expected_of

if TYPE_CHECKING:
    from entrepot.client.orders import Orders
    from entrepot.client.selections import Selections

_ROOT = ("e-product-entitlement-customer", "v1", "entitlements")
_RELEASES = ("rights", "download", "releases")


class Client:
    """A connection to the hub at `url` (http or https, with a path prefix if it has one).

    `orders` and `selections` are the media that can be ordered (Orders, Selections), `licences`
    what has to be accepted before a download (Licences).

    `token` is an access token, or a TokenSource that can renew it (entrepot.client.auth).
    Objects come back as the hub sent them: dicts in its order of keys and items. Every method
    raises ClientError; the tree is in entrepot.client.errors. Safe to use from several threads.

        with Client("https://downloads.example.com", token) as client:
            for entitlement in client.entitlements(product="DS000B"):
                print(entitlement["id"])
    """

    def __init__(
        self,
        url: str,
        token: str | TokenSource | None = None,
        *,
        times: Times | None = None,
        call_backoff: Backoff | None = None,
        transfer_backoff: Backoff | None = None,
        stop: Stop | None = None,
    ) -> None:
        tokens = GivenToken(token) if isinstance(token, str) else token
        self.times = times or Times()
        self.stop = stop or Stop()
        self._tokens = tokens
        self._transfer_backoff = transfer_backoff or Backoff(attempts=8)
        self._pool = Pool()
        self._folders = Folders()
        self._stocks: dict[tuple[str, str], LinkStock] = {}
        base = parse_hub_address(url)
        self.api = Api(base, tokens, self.times, call_backoff or Backoff(), self.stop)
        self.licences = Licences(self.api)

    @cached_property
    def orders(self) -> "Orders":
        """The caller's orders of media."""
        from entrepot.client.orders import Orders

        return Orders(self.api, self._transfer_backoff, self.stop)

    @cached_property
    def selections(self) -> "Selections":
        """The caller's selections of media."""
        from entrepot.client.selections import Selections

        return Selections(self.api)

    def entitlements(
        self,
        *,
        product: str | None = None,
        search: Mapping[str, Any] | None = None,
        page: int | None = None,
        limit: int = 10,
    ) -> list[JsonObject]:
        """All entitlements, or page `page` (from 1) of `limit` each.

        `search` takes the keys of the contract (`product.id`, `rightTo`, `activatedFrom`);
        `product` is short for `product.id`.
        """
        wanted = dict(search or {})
        if product is not None:
            wanted["product.id"] = product
        return _items(self.api.get(_ROOT, _query(wanted, page, limit)))

    def entitlement(self, entitlement_id: str) -> JsonObject:
        """One entitlement."""
        return _one(self.api.get((*_ROOT, entitlement_id)))

    def releases(
        self,
        entitlement_id: str,
        *,
        search: Mapping[str, Any] | None = None,
        page: int | None = None,
        limit: int = 10,
    ) -> list[JsonObject]:
        """The releases of an entitlement, newest first (`availableFrom`, `latestAvailable`)."""
        path = (*_ROOT, entitlement_id, *_RELEASES)
        return _items(self.api.get(path, _query(dict(search or {}), page, limit)))

    def release(self, entitlement_id: str, release_id: str) -> JsonObject:
        """One release with its artifacts."""
        return _one(self.api.get((*_ROOT, entitlement_id, *_RELEASES, release_id)))

    def artifacts(self, entitlement_id: str, release_id: str) -> list[JsonObject]:
        """The artifacts of a release, in the publisher's order."""
        found = self.release(entitlement_id, release_id).get("artifacts", [])
        return _objects(found)

    def artifact(self, entitlement_id: str, release_id: str, artifact_id: str) -> JsonObject:
        """One artifact."""
        return _one(self.api.get(_artifact_path(entitlement_id, release_id, artifact_id)))

    def link(
        self,
        entitlement_id: str,
        release_id: str,
        artifact_id: str,
        *,
        country: str | None = None,
    ) -> str:
        """A fresh download link; it authorises itself and lives for ten minutes.

        `country` (two letters) is declared to the hub, as controlled artifacts require.
        """
        headers = declaring(country)
        path = (*_artifact_path(entitlement_id, release_id, artifact_id), "http")
        return self._absolute(_one(self.api.get(path, headers=headers)))

    def _absolute(self, answer: JsonObject) -> str:
        url = answer.get("downloadUrl")
        if not isinstance(url, str) or not url:
            raise BadAnswer("The hub's answer holds no download link.")
        if "://" not in url and url.startswith("/") and not url.startswith("//"):
            url = self.api.base.origin + url
        link = parse_link(url, self.api.base)
        return link.url

    def release_zip(
        self, entitlement_id: str, release_id: str, *, country: str | None = None
    ) -> JsonObject:
        """A fresh link to all files of a release in one ZIP: `downloadUrl`, `fileSize`, ..."""
        headers = declaring(country)
        path = (*_ROOT, entitlement_id, *_RELEASES, release_id, "zip")
        answer = _one(self.api.get(path, headers=headers))
        return answer | {"downloadUrl": self._absolute(answer)}

    def transfer_spec(self, entitlement_id: str, release_id: str, artifact_id: str) -> JsonObject:
        """The Aspera transfer specification, where the hub offers one."""
        path = (*_artifact_path(entitlement_id, release_id, artifact_id), "fasp")
        answer = _one(self.api.get(path))
        try:
            return _one(answer["data"]["transfer_specs"][0]["transfer_spec"])
        except (KeyError, IndexError, TypeError) as error:
            raise BadAnswer("The hub's answer holds no Aspera transfer.") from error

    def expect_downloads(
        self, entitlement_id: str, release_id: str, artifacts: Sequence[Mapping[str, Any]]
    ) -> None:
        """Say that `download` will be called for these artifacts (their objects), one by one.

        Links to the small ones among them are then asked for together. Nothing is asked yet.
        """
        path = (*_ROOT, entitlement_id, *_RELEASES, release_id, "metalink")

        def ask(ids: Sequence[str]) -> bytes:
            once = Backoff(attempts=1)  # without it each link is asked for, patiently
            return self.api.call("GET", path, {"artifacts": ",".join(ids)}, backoff=once).body

        self._stocks[entitlement_id, release_id] = LinkStock(ask, artifacts)

    def download(
        self,
        entitlement_id: str,
        release_id: str,
        artifact: str | Mapping[str, Any],
        folder: str | Path,
        *,
        name: str | None = None,
        country: str | None = None,
        watcher: Watcher | None = None,
        before_link: Callable[[], None] | None = None,
        expected: Expected | None = None,
        rate: RateLimit | None = None,
        connections: int | None = None,
    ) -> Downloaded:
        """Bring one artifact (its id or its object) into `folder`, verified.

        The file gets the artifact's name made safe, or `name` made safe. A file that is already
        there with the right digest is left alone. For controlled artifacts `country`, else the
        country in the token, is declared. `expected` is believed instead of what the artifact's
        object announces. `rate` limits this transfer and all others that share it.
        `connections` is how many may be open at a time for this file; by default as many as pay.
        """
        if isinstance(artifact, str):
            artifact = self.artifact(entitlement_id, release_id, artifact)
        artifact_id, given = str(artifact.get("id", "")), artifact.get("fileName")
        target_name = safe_name(name or (given if isinstance(given, str) else ""))
        declared = self.country_for(artifact, country)

        def mint_link() -> str:
            if before_link is not None:
                before_link()
            stock = self._stocks.get((entitlement_id, release_id))
            stocked = stock.take(artifact_id) if stock is not None and declared is None else None
            if stocked is not None:
                return self._absolute({"downloadUrl": stocked})
            return self.link(entitlement_id, release_id, artifact_id, country=declared)

        conditions = self._conditions(rate, connections)
        target = Path(folder) / target_name
        return download(mint_link, target, expected or expected_of(artifact), conditions, watcher)

    def download_zip(
        self,
        entitlement_id: str,
        release: str | Mapping[str, Any],
        folder: str | Path,
        *,
        name: str | None = None,
        country: str | None = None,
        watcher: Watcher | None = None,
        rate: RateLimit | None = None,
    ) -> Downloaded:
        """Bring all files of a release (its id or its object) into `folder` as one ZIP.

        Every entry is checked against what the hub lists before the ZIP is put in place. It
        gets the name that the hub gives it, or `name`, made safe. A ZIP that is already there
        and right is left alone. The country is declared and the `rate` is limited as
        `download` does.
        """
        from entrepot.client.zips import ZipCheck, is_right

        if isinstance(release, str):
            release = self.release(entitlement_id, release)
        release_id, artifacts = str(release.get("id", "")), _objects(release.get("artifacts", []))
        check = ZipCheck(artifacts, self.stop)
        countries = (self.country_for(artifact, country) for artifact in artifacts)
        declared = next((code for code in countries if code), None)
        first = self.release_zip(entitlement_id, release_id, country=declared)
        links = [str(first["downloadUrl"])]

        def mint_link() -> str:
            if not links:
                fresh = self.release_zip(entitlement_id, release_id, country=declared)
                links.append(str(fresh["downloadUrl"]))
            return links.pop()

        given = first.get("fileName")
        target = Path(folder) / safe_name(name or (given if isinstance(given, str) else ""))
        size = expected_of({"fileSize": first.get("fileSize")})
        if is_right(target, size, check):
            whole = target.stat().st_size
            return Downloaded(target, whole, check.strength, True, 0.0)
        conditions = self._conditions(rate, None)
        done = download(mint_link, target, size, conditions, watcher, check)
        return replace(done, verified=check.strength)

    def country_for(self, artifact: Mapping[str, Any], country: str | None) -> str | None:
        """The country to declare for an artifact: none unless its repository is controlled."""
        if not is_controlled(artifact):
            return None
        if country:
            return country_code(country)
        claims = claims_or_none(self._tokens.token()) if self._tokens is not None else None
        return claims.country if claims is not None else None

    def _conditions(self, rate: RateLimit | None, connections: int | None) -> Conditions:
        return Conditions(
            self.times,
            self._transfer_backoff,
            self.stop,
            rate,
            connections,
            self._pool,
            self._folders,
        )

    def close(self) -> None:
        """Close the connections that are kept open, and make the last files' names durable."""
        for stock in self._stocks.values():
            stock.close()
        self.api.close()
        self._pool.close()
        self._folders.sync()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _artifact_path(entitlement_id: str, release_id: str, artifact_id: str) -> tuple[str, ...]:
    return (*_ROOT, entitlement_id, *_RELEASES, release_id, "artifact", artifact_id)


def _query(search: Mapping[str, Any], page: int | None, limit: int) -> dict[str, str]:
    query = {"search": json.dumps(search, separators=(",", ":"))} if search else {}
    if page is not None:
        query |= {"offset": str(page), "limit": str(limit)}
    return query


def _one(answer: Any) -> JsonObject:
    if not isinstance(answer, dict):
        raise BadAnswer("The hub's answer is not a JSON object.")
    return answer


def _items(answer: Any) -> list[JsonObject]:
    return _objects(_one(answer).get("items", []))


def _objects(found: Any) -> list[JsonObject]:
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise BadAnswer("The hub's answer is not a list of objects.")
    return found
