"""System tests: one running sandbox a worker, driven from outside by the real commands.

Tests share the hub and run in any order, so each leaves its state as it found it, or changes
only what belongs to it alone: a licence is accepted by a person whom no other test uses.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from entrepot.core.accounts import find_user, issue_token, load_user
from entrepot.daemon.desk import Desk
from tests.system.hubs import EDMGR, ENTREPOT, Customer, Hub, customer, running_hub

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder starts a hub."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.system)


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A sandbox with two web processes."""
    with running_hub(tmp_path_factory.mktemp("system") / "data") as hub:
        yield hub


@pytest.fixture(scope="session")
def media_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A sandbox of its own for orders: assets are added to it, and its worker is killed."""
    with running_hub(
        tmp_path_factory.mktemp("media") / "data", web_processes="1", worker_slots="2"
    ) as hub:
        yield hub


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
