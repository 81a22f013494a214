"""What the OpenAPI document says of the entitlement API, held against its answers."""

import json
from typing import Any

import pytest

from entrepot.assembly import Hub
from tests.doors.entitlement_world import ROOT, add_offer, open_door, releases_path

OPERATIONS = {
    "listEntitlements",
    "showEntitlement",
    "listReleases",
    "showRelease",
    "showArtifact",
    "issueDownloadUrl",
    "issueReleaseZipUrl",
    "explainPermission",
    "explainPermissions",
    "issueTransferSpec",
    "writeReleaseMetalink",
    "showRequiredLicence",
    "acceptRequiredLicence",
    "showMetadata",
    "showManifest",
}


@pytest.fixture
def document(hub: Hub) -> dict[str, Any]:
    with open_door(hub) as door:
        found: dict[str, Any] = door.ask("/openapi.json").json()
    return found


def _operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        operation["operationId"]: operation
        for path, item in document["paths"].items()
        for operation in item.values()
        if path.startswith(ROOT)
    }


def test_every_operation_and_each_of_its_answers_is_documented(document: dict[str, Any]) -> None:
    found = _operations(document)
    assert set(found) == OPERATIONS
    for name, operation in found.items():
        success = "501" if name == "issueTransferSpec" else "200"
        wanted = {success, "400", "401", "403", "429", "503"}
        wanted |= set() if name == "listEntitlements" else {"404"}
        wanted |= {"304"} if name in ("listReleases", "showMetadata", "showManifest") else set()
        wanted |= {"408", "409"} if name == "acceptRequiredLicence" else set()
        assert set(operation["responses"]) == wanted
        assert operation["security"] == [{"oauth2": ["entitlements"]}, {"bearer": []}]
        for status, answer in operation["responses"].items():
            if status == "304":
                assert "content" not in answer
                continue
            [(media_type, content)] = answer["content"].items()
            assert content["examples"]
            if media_type == "application/metalink4+xml":
                continue
            assert media_type == "application/json"
            assert content["schema"]["$ref"].startswith("#/components/schemas/")


def test_parameters_are_documented(document: dict[str, Any]) -> None:
    found = {
        name: [parameter["name"] for parameter in operation.get("parameters", [])]
        for name, operation in _operations(document).items()
    }
    ids = ["entitlement_id", "release_id", "artifact_id"]
    assert found == {
        "listEntitlements": ["offset", "limit", "search"],
        "showEntitlement": ids[:1],
        "listReleases": [*ids[:1], "offset", "limit", "search", "If-None-Match"],
        "showRelease": ids[:2],
        "showArtifact": ids,
        "issueDownloadUrl": [*ids, "declared-country-code"],
        "issueReleaseZipUrl": [*ids[:2], "declared-country-code"],
        "issueTransferSpec": [*ids, "declared-country-code"],
        "explainPermission": [*ids, "declared-country-code"],
        "explainPermissions": ["search", "declared-country-code"],
        "showRequiredLicence": ids[:1],
        "acceptRequiredLicence": ids[:1],
        "showMetadata": ["product", "file_name", "If-None-Match"],
        "showManifest": ["product", "file_name", "If-None-Match"],
        "writeReleaseMetalink": [*ids[:2], "declared-country-code", "artifacts"],
    }


def test_examples_of_search_are_taken(hub: Hub) -> None:
    with open_door(hub) as door:
        document = door.ask("/openapi.json").json()
        with hub.database.write() as tx:
            offer = add_offer(tx, now=hub.now())
        token = door.token(offer.who)
        paths = {"listEntitlements": "", "listReleases": releases_path(offer.number)}
        for name, path in paths.items():
            parameters = _operations(document)[name]["parameters"]
            params = {
                each["name"]: str(example["value"])
                for each in parameters
                if each["in"] == "query"
                for example in each["examples"].values()
            }
            assert json.loads(params["search"])
            assert door.get(path, token, params=params).status_code == 200


def test_bodies_have_no_field_that_the_schemas_lack(hub: Hub) -> None:
    """Names and required fields of every object in real answers, followed through the schemas."""
    with open_door(hub) as door:
        document = door.ask("/openapi.json").json()
        with hub.database.write() as tx:
            offer = add_offer(tx, now=hub.now(), grant={"allowed_countries": ("DE",)})
        token = door.token(offer.who)
        answers = (
            ("listEntitlements", "200", door.get("", token)),
            ("listReleases", "200", door.get(releases_path(offer.number), token)),
            ("issueDownloadUrl", "200", door.get(f"{offer.artifact}/http", token)),
            ("issueReleaseZipUrl", "200", door.get(offer.zip, token)),
            ("issueTransferSpec", "501", door.get(f"{offer.artifact}/fasp", token)),
            ("explainPermission", "200", door.get(f"{offer.artifact}/permission", token)),
            ("showEntitlement", "400", door.get("/1?x=1", token)),
            ("showEntitlement", "404", door.get("/1", token)),
            ("showEntitlement", "401", door.get("/1")),
        )
    found, schemas = _operations(document), document["components"]["schemas"]
    for name, status, answer in answers:
        assert answer.status_code == int(status)
        content = found[name]["responses"][status]["content"]["application/json"]
        _conform(answer.json(), content["schema"], schemas)


def _conform(value: Any, schema: dict[str, Any], schemas: dict[str, Any]) -> None:
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rsplit("/", 1)[1]]
    if "oneOf" in schema:
        (schema,) = schema["oneOf"]
        _conform(value, schema, schemas)
        return
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
    assert isinstance(value, kinds[schema["type"]])
    if isinstance(value, dict):
        assert set(schema["required"]) <= set(value) <= set(schema["properties"])
        for key, part in value.items():
            _conform(part, schema["properties"][key], schemas)
    if isinstance(value, list):
        for part in value:
            _conform(part, schema["items"], schemas)
