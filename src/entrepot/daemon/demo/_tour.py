"""The main job, step by step, by the customer's real command; every line shown is its own."""

import hashlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from entrepot.client.errors import ExitCode
from entrepot.daemon.demo._hub import command
from entrepot.daemon.demo.failure import DemoFailure
from entrepot.daemon.demo.visitor import accept_licence

CUSTOMER, COLLEAGUE = "ada@halden.example", "chiyo@okabe.example"
SIGNED = "EP310"  # a member of the group that the customer has
WIDTH = 88


@dataclass(slots=True)
class Tour:
    """One run: the sandbox's description, the folder of the files, and the steps so far."""

    world: Mapping[str, Any]
    folder: Path
    steps: int = 0
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ours = ("ENTREPOT_", "EDM_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        self.environment = kept | {
            "ENTREPOT_URL": self.world["url"],
            "ENTREPOT_ROOT": str(self.folder / "sign-in"),
        }

    def run(self) -> None:
        """Everything, in order. DemoFailure names the step that went wrong."""
        self._sign_in()
        entitlement = self._show_entitlements()
        release = self._show_releases(entitlement)
        artifacts = self._show_artifacts(entitlement, release)
        self._download(entitlement, release)
        self._verify(artifacts)
        self._show_signature()
        self._show_refusal()
        self._show_licence()

    def _sign_in(self) -> None:
        self._title(f"{CUSTOMER} signs in with a token")
        _say("The portal's token page hands it out; here it comes from the sandbox.")
        self._entrepot("login", "token", "-", stdin=self._user(CUSTOMER)["token"])

    def _show_entitlements(self) -> str:
        self._title("What is the organisation entitled to?")
        self._entrepot("entitlements")
        wanted = self._entitlement("plain", CUSTOMER)
        return self._first("entitlements", "-p", wanted["product_code"])

    def _show_releases(self, entitlement: str) -> str:
        self._title(f"Which releases does entitlement {entitlement} give? Newest first")
        self._entrepot("releases", "-e", entitlement)
        return self._first("releases", "-e", entitlement)

    def _show_artifacts(self, entitlement: str, release: str) -> list[dict[str, Any]]:
        self._title("Which files are in the newest one?")
        self._entrepot("artifacts", "-e", entitlement, "-r", release)
        return self._objects("artifacts", "-e", entitlement, "-r", release)

    def _download(self, entitlement: str, release: str) -> None:
        self._title("Download them, by signed links, verified on the way")
        files = str(self.folder / "files")
        self._entrepot("download-artifacts", "-e", entitlement, "-r", release, "-d", files)

    def _verify(self, artifacts: list[dict[str, Any]]) -> None:
        self._title("Check again, independently: SHA-256 of each file against the listing")
        for artifact in artifacts:
            path = self.folder / "files" / artifact["fileName"]
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            same = found == artifact["sha256"]
            _say(f"{'same ' if same else 'WRONG'}  {found}  {path.name}")
            if not same:
                raise DemoFailure(f"{path} differs from what the hub listed.")

    def _show_signature(self) -> None:
        self._title(f"A signed product: {SIGNED} is verified by its publisher's key, not the hub's")
        self._entrepot("download", SIGNED, "-d", str(self.folder / "signed"))
        self._entrepot("trust", "list")

    def _show_refusal(self) -> None:
        lapsed = self._entitlement("lapsed", CUSTOMER)
        self._title(f"A refusal: the maintenance of {lapsed['product_code']} has ended")
        _say(f"{COLLEAGUE} still has maintenance and sees its newest release:")
        token = {"ENTREPOT_TOKEN": self._user(COLLEAGUE)["token"]}
        other = self._first("entitlements", "-p", lapsed["product_code"], env=token)
        newest = self._first("releases", "-e", other, env=token)
        self._entrepot("releases", "-e", other, "-r", newest, env=token)
        _say(f"{CUSTOMER} asks for the same release:")
        self._entrepot(
            *("download-artifacts", "-e", lapsed["id"], "-r", newest),
            *("-d", str(self.folder / "files")),
            expected={ExitCode.DENIED},
        )

    def _show_licence(self) -> None:
        bound = self._entitlement("licence", CUSTOMER)
        self._title(f"A licence: {bound['product_code']} asks for one before the first download")
        release = self._first("releases", "-e", bound["id"])
        fetch = ("download-artifacts", "-e", bound["id"], "-r", release)
        target = ("-d", str(self.folder / "files"))
        code, said = self._entrepot(
            *fetch, *target, expected={ExitCode.OK, ExitCode.LICENCE_NEEDED}, heard=True
        )
        if code == ExitCode.OK:
            _say("It was accepted on an earlier run, and is not asked for again.")
            return
        url = next((word for word in said.split() if "://" in word), None)
        if url is None:
            raise DemoFailure("The refusal names no page for the licence.")
        user = self._user(CUSTOMER)
        _say(f"{CUSTOMER} opens {url}, signs in, reads, and accepts.")
        accept_licence(url, user["email"], user["password"])
        self._entrepot(*fetch, *target)

    def _user(self, email: str) -> dict[str, Any]:
        return next(user for user in self.world["users"] if user["email"] == email)

    def _entitlement(self, kind: str, email: str) -> dict[str, Any]:
        owner = self._user(email)["organisation"]
        return next(
            given
            for given in self.world["entitlements"]
            if given["kind"] == kind and given["organisation"] == owner
        )

    def _title(self, text: str) -> None:
        self.steps += 1
        _say("", f"-- {self.steps}. {text} ".ljust(WIDTH, "-"), "")

    def _entrepot(
        self,
        *arguments: str,
        stdin: str | None = None,
        expected: set[ExitCode] | None = None,
        env: Mapping[str, str] | None = None,
        heard: bool = False,
    ) -> tuple[int, str]:
        """Show a command line and run it; its exit status and, if `heard`, what it said.

        Its output goes straight to ours, so that tables and progress fit the terminal; what
        is to be heard, its stderr, comes when it has ended.
        """
        line = shlex.join(["entrepot", *arguments])
        _say(f"$ {line}{' < token' if stdin else ''}")
        ended = subprocess.run(  # noqa: S603
            [command("entrepot"), *arguments],
            input=f"{stdin}\n" if stdin else "",
            stderr=subprocess.PIPE if heard else None,
            text=True,
            env=self.environment | dict(env or {}),
            check=False,
        )
        said = ended.stderr or ""
        _say(*said.splitlines())
        if ended.returncode not in (expected or {ExitCode.OK}):
            raise DemoFailure(f"`{line}` ended with {ended.returncode}.")
        if ended.returncode:
            _say(f"(exit status {ended.returncode})")
        return ended.returncode, said

    def _objects(
        self, *arguments: str, env: Mapping[str, str] | None = None
    ) -> list[dict[str, Any]]:
        """The same listing as JSON, not shown again: where the next step takes its ids from."""
        ended = subprocess.run(  # noqa: S603
            [command("entrepot"), *arguments, "-f", "json"],
            capture_output=True,
            text=True,
            env=self.environment | dict(env or {}),
            check=False,
        )
        if ended.returncode:
            raise DemoFailure(ended.stderr.strip())
        listed: list[dict[str, Any]] = json.loads(ended.stdout)
        return listed

    def _first(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        return str(self._objects(*arguments, env=env)[0]["id"])


def _say(*lines: str) -> None:
    """Written out at once, so that the lines of the commands fall into place between ours."""
    for line in lines:
        print(line)
    sys.stdout.flush()
