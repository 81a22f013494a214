"""What a folder is to hold: everything, or what `entrepot.toml` names.

    releases = "all"                 # for every product below: "all", "latest", or newest N

    [[product]]
    code = "DS000B"                  # a code, or a pattern such as "DS*"
    versions = ["2022.*"]            # names of releases; without it every one
    artifacts = ["*-linux.tgz"]      # names of files; without it every one
    releases = "latest"              # of those that match

Patterns have `*`, `?` and `[...]`, and take any letter case.
"""

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from entrepot.client.errors import InvalidUse
from entrepot.client.finding import LATEST, Wanted
from entrepot.client.offers import OfferedFile, OfferedRelease
from entrepot.client.private_files import read_plain

FILE_NAME = "entrepot.toml"
FILE_BYTES_MAX = 1 << 20
PRODUCTS_MAX = 1000
PATTERNS_MAX = 100
PATTERN_CHARS_MAX = 200
NEWEST_MAX = 10_000
_KEYS = {"code", "versions", "artifacts", "releases"}


@dataclass(frozen=True, slots=True)
class Choice:
    """Products by a pattern; of their releases those that match, all or the `newest` so many."""

    product: str
    versions: tuple[str, ...] = ()
    artifacts: tuple[str, ...] = ()
    newest: int | None = None

    def takes_product(self, code: str) -> bool:
        """Whether this is about the product with this code."""
        return _like(code, (self.product,))

    def __str__(self) -> str:
        version = ",".join(self.versions) or (LATEST if self.newest == 1 else "")
        return f"{self.product}@{version}" if version else self.product


EVERYTHING: tuple[Choice, ...] = (Choice("*"),)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A release and those of its files that are wanted, and the choices that want them."""

    release: OfferedRelease
    files: tuple[OfferedFile, ...]
    by: tuple[Choice, ...]


def choice_of(wanted: Wanted, artifacts: Sequence[str] = (), *, bare_is_latest: bool) -> Choice:
    """What `DS000B@2022.2` means; without a version the newest, or everything of the product."""
    if not wanted.version:
        return Choice(wanted.what, (), tuple(artifacts), 1 if bare_is_latest else None)
    if wanted.version.lower() == LATEST:
        return Choice(wanted.what, (), tuple(artifacts), 1)
    return Choice(wanted.what, (wanted.version,), tuple(artifacts))


def read_choices(path: Path) -> tuple[Choice, ...]:
    """The choices in a file. Raises InvalidUse that names what is wrong, LocalFileError."""
    raw = read_plain(path, FILE_BYTES_MAX)
    try:
        return parse_choices(raw.decode())
    except InvalidUse as error:
        raise InvalidUse(f"{path}: {error.message}", remedy=error.remedy) from error
    except UnicodeDecodeError as error:
        raise InvalidUse(f"{path} is not UTF-8.") from error


def parse_choices(text: str) -> tuple[Choice, ...]:
    """The choices in the text of a file. Raises InvalidUse."""
    try:
        told = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidUse(f"it is not TOML: {error}.", remedy="See https://toml.io.") from error
    _refuse_unknown(told, {"releases", "product"}, "the file")
    usual = newest_of(told.get("releases", "all"), "releases")
    products = told.get("product", [])
    if not isinstance(products, list) or len(products) > PRODUCTS_MAX:
        raise InvalidUse(f"`product` is a list of at most {PRODUCTS_MAX} tables, [[product]].")
    if not products:
        return (Choice("*", newest=usual),)
    return tuple(_choice(each, number, usual) for number, each in enumerate(products, 1))


def _choice(told: Any, number: int, usual: int | None) -> Choice:
    where = f"product {number}"
    if not isinstance(told, dict):
        raise InvalidUse(f"{where} is no table; write [[product]] above it.")
    _refuse_unknown(told, _KEYS, where)
    code = told.get("code")
    if not isinstance(code, str) or not code or len(code) > PATTERN_CHARS_MAX:
        raise InvalidUse(f"{where} has no `code`, the code of a product or a pattern.")
    newest = usual if "releases" not in told else newest_of(told["releases"], f"{where}: releases")
    versions = patterns_of(told.get("versions", []), f"{where}: versions")
    if any(version.lower() == LATEST for version in versions):
        raise InvalidUse(f'{where}: write releases = "{LATEST}" instead of a version "{LATEST}".')
    artifacts = patterns_of(told.get("artifacts", []), f"{where}: artifacts")
    return Choice(code, versions, artifacts, newest)


def _refuse_unknown(told: dict[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(told.keys() - known)
    if unknown:
        raise InvalidUse(
            f"{where} has no key {unknown[0][:80]!r}.", remedy=f"Keys: {', '.join(sorted(known))}."
        )


def patterns_of(told: Any, where: str) -> tuple[str, ...]:
    """Patterns from a file. Raises InvalidUse that names `where`."""
    texts = [told] if isinstance(told, str) else told
    good = isinstance(texts, list) and len(texts) <= PATTERNS_MAX
    if not good or not all(
        isinstance(each, str) and 0 < len(each) <= PATTERN_CHARS_MAX for each in texts
    ):
        raise InvalidUse(
            f"{where} is a list of up to {PATTERNS_MAX} patterns, "
            f"each of 1 to {PATTERN_CHARS_MAX} characters."
        )
    return tuple(texts)


def newest_of(told: Any, where: str) -> int | None:
    """How many of the newest: None for "all", 1 for "latest". Raises InvalidUse."""
    if told == "all":
        return None
    if told == LATEST:
        return 1
    if isinstance(told, int) and not isinstance(told, bool) and 1 <= told <= NEWEST_MAX:
        return told
    raise InvalidUse(f'{where} is "all", "{LATEST}", or a number from 1 to {NEWEST_MAX}.')


def choose(
    choices: Sequence[Choice], offered: Sequence[OfferedRelease]
) -> tuple[list[Chosen], list[Choice]]:
    """The releases and files that the choices mean, and the choices that mean nothing.

    A release that several choices mean comes once, with the files of each. The order is that of
    product code, newest release first.
    """
    by_product: dict[str, list[OfferedRelease]] = {}
    for release in sorted(offered, key=lambda each: each.id):
        by_product.setdefault(release.product, []).append(release)
    found: dict[tuple[str, str], Chosen] = {}
    empty: list[Choice] = []
    for choice in choices:
        hits = 0
        for code in sorted(filter(choice.takes_product, by_product)):
            for release in _newest_of(by_product[code], choice):
                files = files_like(release.files, choice.artifacts)
                hits += len(files)
                _add(found, Chosen(release, files, (replace(choice, product=code),)))
        if not hits and choices != EVERYTHING:
            empty.append(choice)
    ordered = sorted(found.values(), key=lambda each: each.release.available_at, reverse=True)
    ordered.sort(key=lambda each: each.release.product)
    return [each for each in ordered if each.files], empty


def _newest_of(releases: Sequence[OfferedRelease], choice: Choice) -> list[OfferedRelease]:
    matching = [
        release
        for release in releases
        if not choice.versions
        or _like(release.name, choice.versions)
        or release.id in choice.versions
    ]
    matching.sort(key=lambda each: each.available_at, reverse=True)
    return matching[: choice.newest]


def files_like(files: Sequence[OfferedFile], patterns: Sequence[str]) -> tuple[OfferedFile, ...]:
    """The files that any pattern means, by name or id; all of them without a pattern."""
    return tuple(
        file
        for file in files
        if not patterns or _like(file.name, patterns) or file.artifact_id in patterns
    )


def _add(found: dict[tuple[str, str], Chosen], one: Chosen) -> None:
    key = (one.release.product, one.release.id)
    there = found.get(key)
    if there is None:
        found[key] = one
        return
    wanted = {file.artifact_id for file in (*there.files, *one.files)}
    files = tuple(file for file in one.release.files if file.artifact_id in wanted)
    found[key] = Chosen(one.release, files, tuple(dict.fromkeys((*there.by, *one.by))))


def files_of(files: Sequence[OfferedFile], by: Sequence[Choice]) -> tuple[OfferedFile, ...]:
    """The files that any of the choices means."""
    wanted = {file.artifact_id for one in by for file in files_like(files, one.artifacts)}
    return tuple(file for file in files if file.artifact_id in wanted)


def _like(text: str, patterns: Sequence[str]) -> bool:
    folded = text.casefold()
    return any(fnmatchcase(folded, pattern.casefold()) for pattern in patterns)


TakesProduct = Callable[[str], bool]


def takes_product(choices: Sequence[Choice]) -> TakesProduct:
    """Whether any of the choices is about a product, so that others are not even asked for."""
    return lambda code: any(choice.takes_product(code) for choice in choices)
