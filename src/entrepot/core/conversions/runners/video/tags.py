"""The texts about a work that a result keeps."""

from collections.abc import Mapping

# What says when and with what the old file was written, not what the work is.
_OF_THE_FILE = frozenset(
    {"creation_time", "date_of_encoding", "encoder", "encoded_by", "major_brand", "minor_version",
     "compatible_brands", "vendor_id", "handler_name", "duration"}
)  # fmt: skip
_OF_RIGHTS = frozenset(
    {"artist", "author", "composer", "copyright", "creator", "credit", "licence", "license",
     "performer", "publisher", "rights", "usage_terms"}
)  # fmt: skip


def keep_tags(kept: str | None, tags: Mapping[str, str]) -> list[str]:
    """ffmpeg's options for the tags of the result: none of the source's but those kept.

    `kept` is the recipe's setting `metadata`: keep, copyright or strip.
    """
    options = ["-map_metadata", "-1", "-map_chapters", "-1"]
    if kept not in ("keep", "copyright"):
        return options
    for name, text in sorted(tags.items()):
        if name in _OF_RIGHTS or (kept == "keep" and name not in _OF_THE_FILE):
            options += ["-metadata", f"{_escaped(name)}={text}"]
    return options


def _escaped(name: str) -> str:
    return name.replace("=", " ")
