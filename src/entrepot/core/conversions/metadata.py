"""The rendition `metadata`: what the hub knows of an asset, as a JSON file."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from entrepot.core.catalogue.media_types import GROUP_PREFIX


@dataclass(frozen=True, slots=True)
class AssetDescription:
    """What is told of an asset. `title` is by culture; `facts` are as they were measured."""

    id: int
    identifier: str
    title: Mapping[str, str]
    folder: str
    media_group: str
    file_name: str
    content_type: str
    size: int
    sha256: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def metadata_document(asset: AssetDescription) -> bytes:
    """The file of the rendition `metadata`: UTF-8, sorted keys, the same for the same asset."""
    told = asdict(asset) | {"media_group": GROUP_PREFIX + asset.media_group}
    return json.dumps(told, sort_keys=True, indent=2, ensure_ascii=False).encode() + b"\n"
