"""System tests: one running sandbox a run, driven from outside by the real commands.

Tests share the hub and run in any order, so each leaves its state as it found it, or changes
only what belongs to it alone: a licence is accepted by a person whom no other test uses.
"""

import contextlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from entrepot.core.accounts import find_user, issue_token, load_user
from entrepot.daemon.desk import Desk
from tests.system.hubs import EDMGR, ENTREPOT, Customer, Hub, customer, running_hub
from tests.system.media_orders import rows

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder starts a hub."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.system)


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The data of a sandbox that was served once: filling one takes seconds of a processor.

    One for all workers of the run; each hub gets a copy.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "filled"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            making = folder.with_name("filling")
            with running_hub(making, web_processes="1"):
                pass
            making.rename(folder)
    return folder


@pytest.fixture
def data(filled: Path, tmp_path: Path) -> Path:
    """The data folder for a hub of the test's own, a sandbox nobody has used."""
    return Path(shutil.copytree(filled, tmp_path / "data"))


@pytest.fixture(scope="session")
def hub(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A sandbox with two web processes."""
    folder = tmp_path_factory.mktemp("system") / "data"
    with running_hub(Path(shutil.copytree(filled, folder))) as hub:
        yield hub


@pytest.fixture(scope="session")
def media_hub(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A sandbox of its own for orders: assets are added to it, and its worker is killed."""
    folder = Path(shutil.copytree(filled, tmp_path_factory.mktemp("media") / "data"))
    with running_hub(folder, web_processes="1", worker_slots="2") as hub:
        yield hub


# What the sandbox's own organisations have and are; what a test adds for itself alone is its own.
# A revoked entitlement counts: it stays in its owner's list, so revoking takes no grant back.
SHARED_STATE = """
    SELECT 'entitlement', e.id, e.product_id, e.valid_to, e.maintenance_to,
        e.compliance || coalesce(e.revoked_at, '')
    FROM entitlements e JOIN organisations o ON o.id = e.organisation_id
    WHERE o.name IN ({names})
    UNION ALL
    SELECT 'user', u.id, u.email, u.roles, u.disabled_at, ''
    FROM users u JOIN organisations o ON o.id = u.organisation_id WHERE o.name IN ({names})
    UNION ALL
    SELECT 'release', r.id, r.name, r.state, r.available_at, ''
    FROM releases r WHERE r.product_id IN (
        SELECT e.product_id FROM entitlements e JOIN organisations o ON o.id = e.organisation_id
        WHERE e.revoked_at IS NULL AND o.name IN ({names}))
"""


@pytest.fixture(autouse=True)
def nothing_shared_changes(request: pytest.FixtureRequest) -> Iterator[None]:
    """Holds each test on a shared hub to the rule above: the next one may come in any order."""
    shared_hubs = [name for name in ("hub", "media_hub") if name in request.fixturenames]
    with contextlib.ExitStack() as stack:
        for name in shared_hubs:
            stack.enter_context(unchanged(request.getfixturevalue(name)))
        yield


@contextlib.contextmanager
def unchanged(hub: Hub) -> Iterator[None]:
    """Fails where the block leaves changes behind, or orders that are still worked at."""
    names = sorted({given["organisation"] for given in hub.world["entitlements"]})
    query = SHARED_STATE.format(names=", ".join(f"'{name}'" for name in names))

    def shared() -> set[tuple[object, ...]]:
        with contextlib.closing(sqlite3.connect(hub.data / "entrepot.sqlite3")) as database:
            return set(database.execute(query))

    before = shared()
    yield
    assert shared() == before, "the test leaves changes that others on this hub can see"
    at_work = "SELECT id, status FROM orders WHERE status IN ('Pending', 'InProgress')"
    assert rows(hub, at_work) == [], "the test leaves work that others on this hub wait for"


@pytest.fixture
def edmgr(hub: Hub, tmp_path: Path) -> Customer:
    """The unmodified edmgr, pointed at the hub."""
    return customer(hub, tmp_path / "home", EDMGR)


@pytest.fixture
def entrepot(hub: Hub, tmp_path: Path) -> Customer:
    """Our own command."""
    return customer(hub, tmp_path / "home", ENTREPOT)


@pytest.fixture(scope="session")
def minted(hub: Hub) -> Iterator[Callable[..., str]]:
    """Signs tokens with the hub's own key that the hub itself would never hand out."""
    with Desk({"data": str(hub.data)}).hub() as inside:

        def mint(email: str, *, seconds: int = 3600, issuer: str = hub.url) -> str:
            with inside.database.read() as tx:
                who = load_user(tx, find_user(tx, email).id)
                return issue_token(
                    tx,
                    inside.keys.current,
                    who,
                    issuer=issuer,
                    now=inside.now(),
                    seconds=seconds,
                ).value

        yield mint
