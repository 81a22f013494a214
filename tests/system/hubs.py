"""A real hub in processes of its own, and the real commands that drive it from outside."""

import contextlib
import http.client
import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from entrepot.daemon.desk import Desk
from entrepot.daemon.sandbox import describe_world, render_json
from tests.ports import free_port as free_port

HERE = Path(__file__).parent
ROOT = "/e-product-entitlement-customer/v1/entitlements"
READY_SECONDS_MAX = 120.0
STOP_SECONDS_MAX = 60.0
COMMAND_SECONDS_MAX = 120.0
ENTREPOTD = [sys.executable, "-c", "from entrepot.daemon import main; main()"]
ENTREPOT = [sys.executable, "-m", "entrepot.cli"]
EDMGR = [sys.executable, str(HERE / "edmgr_at.py")]


def clean_environment() -> dict[str, str]:
    """This process's environment without anything that steers our commands or edmgr."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("EDM_", "ENTREPOT_")) and not name.lower().endswith("_proxy")
    }


def http_of(artifact: Mapping[str, str]) -> str:
    """The path at which the entitlement API gives out links to an artifact."""
    return (
        f"{ROOT}/{artifact['entitlement_id']}/rights/download/releases/"
        f"{artifact['release_id']}/artifact/{artifact['artifact_id']}/http"
    )


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str

    def objects(self) -> Any:
        """stdout as JSON; the command must have ended well."""
        assert self.code == 0, self
        return json.loads(self.out)


@dataclass(frozen=True)
class Answer:
    """An HTTP answer with its whole body. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Hub:
    """A running sandbox: its folder, where it listens, and what it says of itself."""

    data: Path
    bind: str
    environment: Mapping[str, str]
    world: Mapping[str, Any]
    pid: int

    @property
    def url(self) -> str:
        return str(self.world["url"])

    def operate(self, *arguments: str) -> Ran:
        """Run a command of the operator on this hub's folder."""
        return run([*ENTREPOTD, *arguments, "--data", str(self.data)], env=self.environment)

    def user(self, email: str) -> dict[str, Any]:
        users: list[dict[str, Any]] = self.world["users"]
        return next(user for user in users if user["email"] == email)

    def entitlement(self, kind: str, organisation: str, code: str = "") -> dict[str, Any]:
        """The organisation's first entitlement of this kind."""
        every: list[dict[str, Any]] = self.world["entitlements"]
        return next(
            given
            for given in every
            if (given["kind"], given["organisation"]) == (kind, organisation)
            and code in ("", given["product_code"])
        )

    def artifacts(self, entitlement_id: str) -> list[dict[str, Any]]:
        """Everything that the sandbox lists under an entitlement, newest release first."""
        listed: list[dict[str, Any]] = self.world["artifacts"]
        return [one for one in listed if one["entitlement_id"] == entitlement_id]

    def ask(
        self,
        target: str,
        *,
        token: str = "",
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own, with nothing added that was not asked for."""
        host, port = self.bind.split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=60)
        sent = dict(headers or {}) | ({"Authorization": f"Bearer {token}"} if token else {})
        try:
            connection.request(method, target, headers=sent)
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, named, answer.read())
        finally:
            connection.close()

    def link(self, artifact: Mapping[str, str], token: str) -> str:
        """A fresh download link's path."""
        answer = self.ask(http_of(artifact), token=token)
        assert answer.status == 200, answer
        return urlsplit(str(answer.json()["downloadUrl"])).path


def run(
    command: list[str], *, env: Mapping[str, str], stdin: str = "", cwd: Path | None = None
) -> Ran:
    """Run a command to its end."""
    ended = subprocess.run(
        command,
        input=stdin,
        env=dict(env),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS_MAX,
        check=False,
    )
    return Ran(ended.returncode, ended.stdout, ended.stderr)


@contextlib.contextmanager
def running_hub(
    data: Path,
    *,
    port: int = 0,
    prefix: Sequence[str] = (),
    tls: ssl.SSLContext | None = None,
    **settings: str,
) -> Iterator[Hub]:
    """A ready sandbox with two web processes, stopped by its pid; `settings` in lower case.

    `prefix` is a command that in the end becomes the hub, such as one that leaves something out.
    `tls` trusts the certificate that the settings name, where they name one.
    At the end its log is searched for what must never be in there.
    """
    bind = f"127.0.0.1:{port or free_port()}"
    given = {"web_processes": "2", "reserve_bytes": "1 MiB", "requests_per_minute": "0"} | settings
    environment = clean_environment() | {f"ENTREPOT_{k.upper()}": v for k, v in given.items()}
    log_path = data.with_name(f"{data.name}.log")
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [*prefix, *ENTREPOTD, "serve", "--sandbox", "--data", str(data), "--bind", bind],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        wait_until_ready(process, bind, log_path, tls)
        world = describe(data) if tls is None else _told(data, environment)
        yield Hub(data, bind, environment, world, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS_MAX)
        finally:
            process.kill()
            process.wait()
    said = log_path.read_text(errors="replace")
    assert "Traceback" not in said, said
    assert process.returncode == 0, said


def describe(data: Path) -> Any:
    """What `entrepotd sandbox --json` prints, without the second that a process takes."""
    desk = Desk({"data": str(data)})
    with desk.hub() as inside:
        return json.loads(render_json(describe_world(inside, data)))


def _told(data: Path, environment: Mapping[str, str]) -> Any:
    """The same by the command, with the settings of the hub."""
    command = [*ENTREPOTD, "sandbox", "--json", "--data", str(data)]
    return run(command, env=environment).objects()


def wait_until_ready(
    process: "subprocess.Popen[bytes]",
    bind: str,
    log_path: Path,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Until /readyz says so; fails with the log when the process ends or takes too long."""
    host, port = bind.split(":")
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        connection = (
            http.client.HTTPSConnection(host, int(port), timeout=5, context=tls)
            if tls is not None
            else http.client.HTTPConnection(host, int(port), timeout=5)
        )
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.1)
    process.kill()
    raise AssertionError(f"not ready: {log_path.read_text(errors='replace')}")


@dataclass(frozen=True)
class Customer:
    """A person with a home folder of its own and one of the two customers' commands."""

    hub: Hub
    home: Path
    command: list[str]
    environment: Mapping[str, str]

    def run(self, *arguments: str, stdin: str = "", **variables: str) -> Ran:
        """Run the command; `variables` are added to its environment."""
        env = dict(self.environment) | variables
        return run([*self.command, *arguments], env=env, stdin=stdin, cwd=self.home)


def customer(hub: Hub, home: Path, command: list[str]) -> Customer:
    """A customer who has not signed in yet."""
    home.mkdir(exist_ok=True)
    environment = clean_environment() | {
        "HOME": str(home),
        "COLUMNS": "100",
        "ENTREPOT_URL": hub.url,
        "EDMGR_AT_URL": hub.url,
        "EDMGR_AT_KEYS": str(hub.world["jwks_url"]),
    }
    return Customer(hub, home, command, environment)
