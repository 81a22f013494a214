"""Profiles: which hub the names `prod` and `qa` stand for, and where files are kept.

The environment is read here and nowhere else; a variable of ours wins over edmgr's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from entrepot.client.connections import Address, parse_hub_address
from entrepot.client.errors import InvalidUse
from entrepot.client.private_files import locked, read_private, write_private

PROFILES = ("prod", "qa")


@dataclass(frozen=True, slots=True)
class Profile:
    """One hub as the command sees it: `name`, where its files lie, and its address if known."""

    name: str
    root: Path
    address: Address | None

    def hub(self) -> Address:
        """The address of the hub. Raises InvalidUse when nobody said which."""
        if self.address is None:
            raise InvalidUse(
                f"Which hub? No URL is known for the profile {self.name}.",
                remedy="Add --url https://your.hub or set ENTREPOT_URL; "
                "`entrepot login` remembers it.",
            )
        return self.address


def files_root(environment: Mapping[str, str]) -> Path:
    """The folder of tokens and profiles: ENTREPOT_ROOT, EDM_ROOT, else ~/.entrepot."""
    return _folder(environment, ("ENTREPOT_ROOT", "EDM_ROOT"), ".entrepot")


def downloads_folder(environment: Mapping[str, str]) -> Path:
    """The default folder for downloads: ENTREPOT_DOWNLOADS, EDM_DOWNLOADS, else ~/Artifacts."""
    return _folder(environment, ("ENTREPOT_DOWNLOADS", "EDM_DOWNLOADS"), "Artifacts")


def load_profile(name: str | None, url: str | None, environment: Mapping[str, str]) -> Profile:
    """The profile by name (else EDM_ENV, else prod) and its hub (else ENTREPOT_URL, else saved)."""
    chosen = (name or environment.get("EDM_ENV") or "prod").lower()
    if chosen not in PROFILES:
        raise InvalidUse(f"EDM_ENV is {chosen!r}; it can be prod or qa.")
    root = files_root(environment)
    known = url or environment.get("ENTREPOT_URL")
    if not known:
        entry = read_private(_file(root)).get(chosen)
        known = entry.get("url") if isinstance(entry, dict) else None
    return Profile(chosen, root, parse_hub_address(known) if known else None)


def save_profile(profile: Profile) -> None:
    """Remember the hub of this profile."""
    path = _file(profile.root)
    with locked(path):
        write_private(path, read_private(path) | {profile.name: {"url": profile.hub().url}})


def _file(root: Path) -> Path:
    return root / "profiles.json"


def _folder(environment: Mapping[str, str], names: tuple[str, ...], usual: str) -> Path:
    given = next((environment[name] for name in names if environment.get(name)), None)
    try:
        return Path(given).expanduser() if given else Path.home() / usual
    except RuntimeError as error:
        raise InvalidUse(
            "This account has no home directory.", remedy=f"Set {names[0]} to a folder."
        ) from error
