"""Profiles: which hub a name stands for, what goes with it, and where files are kept.

`prod` and `qa` are always there, as edmgr has them; others are added by name. The environment is
read here and nowhere else; a variable of ours wins over edmgr's.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entrepot.client.connections import Address, parse_hub_address
from entrepot.client.errors import InvalidUse, NotFound
from entrepot.client.private_files import locked, read_private, write_private

PROFILES = ("prod", "qa")
PROFILES_MAX = 100
_IN_USE = "_in_use"  # no name begins like that
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Profile:
    """One hub as the command sees it: `name`, where its files lie, and its address if known.

    `cacert` is a file of authorities to trust in place of the system's, `country` what is declared
    for controlled files, `downloads` the folder for files; each only where it was set.
    """

    name: str
    root: Path
    address: Address | None
    cacert: str | None = None
    country: str | None = None
    downloads: str | None = None

    def hub(self) -> Address:
        """The address of the hub. Raises InvalidUse when nobody said which."""
        if self.address is None:
            raise InvalidUse(
                f"Which hub? No URL is known for the profile {self.name}.",
                remedy="Add --url https://your.hub or set ENTREPOT_URL; "
                "`entrepot login` and `entrepot profile add` remember it.",
            )
        return self.address


def files_root(environment: Mapping[str, str]) -> Path:
    """The folder of tokens and profiles: ENTREPOT_ROOT, EDM_ROOT, else ~/.entrepot."""
    return _folder(environment, ("ENTREPOT_ROOT", "EDM_ROOT"), ".entrepot")


def downloads_folder(environment: Mapping[str, str], profile: Profile | None = None) -> Path:
    """The folder for downloads: ENTREPOT_DOWNLOADS, EDM_DOWNLOADS, the profile's, ~/Artifacts."""
    names = ("ENTREPOT_DOWNLOADS", "EDM_DOWNLOADS")
    if profile is not None and profile.downloads and not any(map(environment.get, names)):
        return _home_of(profile.downloads, names[0])
    return _folder(environment, names, "Artifacts")


def load_profile(
    name: str | None,
    url: str | None,
    environment: Mapping[str, str],
    *,
    cacert: str | None = None,
) -> Profile:
    """The profile that is meant, and its hub.

    By `name`, else ENTREPOT_PROFILE, EDM_ENV, the one in use, prod. The hub is `url`, else that of
    a profile given by `name`, else ENTREPOT_URL, else the profile's. Authorities: `cacert`,
    ENTREPOT_CACERT, the profile's. Raises InvalidUse for a name that no profile has.
    """
    root = files_root(environment)
    held = _read(root)
    chosen, source = _chosen(name, environment, held)
    if chosen not in PROFILES and not isinstance(held.get(chosen), dict):
        raise InvalidUse(
            f"{source} {chosen!r}: there is no such profile, but {', '.join(_names(held))}.",
            remedy=f"Make it: entrepot profile add {chosen} --url https://your.hub",
        )
    entry = _entry(held, chosen)
    known = url or (entry.get("url") if name else None)
    known = known or environment.get("ENTREPOT_URL") or entry.get("url")
    return Profile(
        chosen,
        root,
        parse_hub_address(known) if known else None,
        cacert or environment.get("ENTREPOT_CACERT") or entry.get("cacert"),
        entry.get("country"),
        entry.get("downloads"),
    )


def save_profile(profile: Profile) -> None:
    """Remember the hub of this profile and what goes with it. Raises InvalidUse, LocalFileError."""
    check_name(profile.name)
    told = {
        "url": profile.hub().url,
        "cacert": profile.cacert,
        "country": profile.country,
        "downloads": profile.downloads,
    }
    path = _file(profile.root)
    with locked(path):
        held = _read(profile.root)
        if len(held.keys() | {profile.name}) > PROFILES_MAX:
            raise InvalidUse(f"{PROFILES_MAX} profiles are the most; remove one first.")
        entry = {key: value for key, value in told.items() if value}
        write_private(path, held | {profile.name: entry})


def list_profiles(environment: Mapping[str, str]) -> list[tuple[Profile, bool]]:
    """Every profile by name, as saved, and whether it is the one in use."""
    root = files_root(environment)
    held = _read(root)
    chosen = _chosen(None, environment, held)[0]
    return [(_saved(root, held, name), name == chosen) for name in _names(held)]


def use_profile(root: Path, name: str) -> None:
    """Make a profile the one in use where nothing else is said. Raises NotFound."""
    path = _file(root)
    with locked(path):
        held = _read(root)
        _require(held, name)
        write_private(path, held | {_IN_USE: name})


def remove_profile(root: Path, name: str) -> Profile:
    """Forget a profile; the one that it was. Raises NotFound."""
    path = _file(root)
    with locked(path):
        held = _read(root)
        _require(held, name)
        gone = _saved(root, held, name)
        held.pop(name, None)
        if held.get(_IN_USE) == name:
            del held[_IN_USE]
        write_private(path, held)
    return gone


def check_name(name: str) -> str:
    """The name of a profile in its one spelling. Raises InvalidUse."""
    lower = name.lower()
    if not _NAME.fullmatch(lower):
        raise InvalidUse(
            f"{name[:80]!r} cannot name a profile.",
            remedy="A name has up to 64 letters, digits, `.`, `_` and `-`.",
        )
    return lower


def _chosen(
    name: str | None, environment: Mapping[str, str], held: Mapping[str, Any]
) -> tuple[str, str]:
    """The name that is meant, and who said so."""
    said = (
        (name, "-k is"),
        (environment.get("ENTREPOT_PROFILE"), "ENTREPOT_PROFILE is"),
        (environment.get("EDM_ENV"), "EDM_ENV is"),
        (held.get(_IN_USE), "The profile in use is"),
    )
    return next(
        ((given.lower(), who) for given, who in said if isinstance(given, str) and given),
        ("prod", ""),
    )


def _require(held: Mapping[str, Any], name: str) -> None:
    if name not in _names(held):
        raise NotFound(
            f"There is no profile {name[:80]!r}, but {', '.join(_names(held))}.",
            remedy=f"Make it: entrepot profile add {name[:80]} --url https://your.hub",
        )


def _names(held: Mapping[str, Any]) -> list[str]:
    return sorted({*PROFILES, *(name for name in held if name != _IN_USE)})


def _saved(root: Path, held: Mapping[str, Any], name: str) -> Profile:
    entry = _entry(held, name)
    address = parse_hub_address(entry["url"]) if "url" in entry else None
    return Profile(
        name, root, address, entry.get("cacert"), entry.get("country"), entry.get("downloads")
    )


def _entry(held: Mapping[str, Any], name: str) -> dict[str, str]:
    entry = held.get(name)
    if not isinstance(entry, dict):
        return {}
    return {key: value for key, value in entry.items() if isinstance(value, str) and value}


def _read(root: Path) -> dict[str, Any]:
    return read_private(_file(root))


def _file(root: Path) -> Path:
    return root / "profiles.json"


def _folder(environment: Mapping[str, str], names: tuple[str, ...], usual: str) -> Path:
    given = next((environment[name] for name in names if environment.get(name)), None)
    return _home_of(given or f"~/{usual}", names[0])


def _home_of(folder: str, variable: str) -> Path:
    try:
        return Path(folder).expanduser()
    except RuntimeError as error:
        raise InvalidUse(
            "This account has no home directory.", remedy=f"Set {variable} to a folder."
        ) from error
