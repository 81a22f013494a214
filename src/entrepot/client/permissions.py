"""Why a download is allowed or not, as the hub explains it: nothing is fetched, nothing counted.

The answer is an object of the hub's entitlement API, `Permission` in its /openapi.json: `allowed`,
`reason`, and `checks`, each with `name`, `state` (passed, failed, not-reached), `message`,
`remedy`, and `from` and `to` where a period was looked at.
"""

import json
from collections.abc import Mapping

from entrepot.client.answers import JsonObject
from entrepot.client.client import Client
from entrepot.client.countries import declaring
from entrepot.client.errors import BadAnswer

_ROOT = ("e-product-entitlement-customer", "v1", "entitlements")


def explain_artifact(
    client: Client,
    entitlement_id: str,
    release_id: str,
    artifact_id: str,
    *,
    country: str | None = None,
) -> JsonObject:
    """Whether a link to the artifact would be issued now, by this entitlement, and why.

    Raises NotFound where it is not there or not yours.
    """
    path = (
        *(*_ROOT, entitlement_id, "rights", "download", "releases", release_id),
        *("artifact", artifact_id, "permission"),
    )
    return _object(client.api.get(path, headers=declaring(country)))


def explain_search(
    client: Client, search: Mapping[str, str], *, country: str | None = None
) -> tuple[list[JsonObject], int]:
    """The same for what is found by `artifact.id`, `release.id`, `product.id`, `release.name`.

    At most 100, by every entitlement to them; with them how many there are. Raises NotFound.
    """
    query = {"search": json.dumps(search, separators=(",", ":"))}
    answer = _object(client.api.get((*_ROOT, "permissions"), query, declaring(country)))
    items, total = answer.get("items"), answer.get("totalNumberOfItems")
    if not isinstance(items, list) or not isinstance(total, int):
        raise BadAnswer("The hub's answer holds no permissions.")
    return [_object(item) for item in items], total


def _object(answer: object) -> JsonObject:
    if not isinstance(answer, dict):
        raise BadAnswer("The hub's answer is not a JSON object.")
    return answer
