"""Orders: any order of calls against a model of the states; names that are always safe."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrepot.core import orders
from entrepot.core.orders.naming import (
    FOLDERS_BYTES_MAX,
    NAME_BYTES_MAX,
    RESERVED,
    compile_template,
    number_duplicates,
)
from entrepot.db import Database
from entrepot.errors import Conflict, Gone, Unavailable
from entrepot.kit.file_names import check_file_name, fold_file_name
from tests.core.orders_world import IMAGES, World, make_world
from tests.databases import *  # noqa: F403
from tests.factories import DAY

OPEN = ("Pending", "InProgress")
FILES = {"global": {IMAGES: {"renditions": ["Original", "preview", "thumbnail"]}}}


class Model:
    """What an order should be after each call: its state, its files, its events."""

    def __init__(self) -> None:
        self.status = "Pending"
        self.generation = 1
        self.files = ["done", "pending", "pending"]
        self.events = ["placed"]

    def begin(self) -> None:
        if self.status == "Pending":
            self.status = "InProgress"
            self.events.append("progress")

    def settle(self, outcome: str) -> None:
        self.files[self.files.index("pending")] = outcome

    def complete(self) -> str | None:
        if self.status not in OPEN:
            return None
        if "pending" in self.files:
            return "unsettled"
        self.status = "CompletedWithErrors" if "failed" in self.files else "Completed"
        self.events.append("completed")
        return self.status

    def cancel(self) -> None:
        if self.status in OPEN:
            self.status = "Cancelled"
            self.events.append("cancelled")
        else:
            self.expire()

    def expire(self) -> None:
        if self.status in ("Completed", "CompletedWithErrors"):
            self.status = "Expired"
            self.events.append("expired")

    def fail(self, generation: int) -> bool:
        if self.status not in OPEN or generation != self.generation:
            return False
        self.status = "Failed"
        self.events.append("failed")
        return True

    def retry(self) -> bool:
        if self.status not in ("CompletedWithErrors", "Failed", "Cancelled"):
            return False
        self.status = "Pending"
        self.generation += 1
        self.files = ["done" if state == "done" else "pending" for state in self.files]
        self.events.append("placed")
        return True


ACTIONS = st.lists(
    st.sampled_from(
        ["begin", "settle", "fail", "complete", "cancel", "expire", "end", "end old", "retry"]
    ),
    max_size=14,
)


def look(world: World, order_id: int, model: Model) -> None:
    """The order is as the model says, and what it allows follows from its state."""
    view = world.view(order_id)
    assert (view.status, view.generation) == (model.status, model.generation)
    assert sorted(item.state for item in world.items(order_id)) == sorted(model.files)
    assert world.told(order_id) == [f"order.{kind}" for kind in model.events]
    if model.status in ("Completed", "CompletedWithErrors"):
        assert len(world.files(order_id)) == model.files.count("done")
        assert view.files_completed == model.files.count("done")
        assert view.files_failed == model.files.count("failed")
    else:
        with pytest.raises((Gone, Unavailable)):
            world.package(order_id)
    waiting = world.pending(order_id)
    assert len(waiting) == (model.files.count("pending") if model.status in OPEN else 0)


def act(world: World, order_id: int, model: Model, action: str) -> None:
    """One call, on the hub and on the model."""
    waiting = world.pending(order_id)
    if action == "begin":
        assert all(world.begin(order_id, one) for one in waiting[:1])
        if waiting:
            model.begin()
    elif action in ("settle", "fail"):
        for one in waiting[:1]:
            (world.settle if action == "settle" else world.fail)(order_id, one)
            model.settle("done" if action == "settle" else "failed")
    elif action == "complete":
        expected = model.complete()
        if expected == "unsettled":
            with pytest.raises(Unavailable):
                world.complete(order_id)
        else:
            assert world.complete(order_id) == expected
    else:
        end(world, order_id, model, action)


def end(world: World, order_id: int, model: Model, action: str) -> None:
    with world.database.write() as tx:
        if action == "cancel":
            model.cancel()
            orders.cancel_order(tx, world.who, order_id, now=world.now)
        elif action == "expire":
            model.expire()
            orders.expire_orders(tx, now=world.now + 31 * DAY)
        elif action == "retry":
            if model.retry():
                orders.retry_order(tx, world.who, order_id, now=world.now)
            else:
                with pytest.raises(Conflict):
                    orders.retry_order(tx, world.who, order_id, now=world.now)
        else:
            generation = model.generation - (action == "end old")
            failed = orders.fail_order(tx, order_id, generation, reason="x", now=world.now)
            assert failed == model.fail(generation)


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    return make_world(database, tmp_path)


def test_states_follow_the_model_whatever_is_called_when(world: World) -> None:
    """Each change of state happens once and is told once, in one order, on both databases."""
    assets: list[int] = []

    @settings(max_examples=25, suppress_health_check=list(HealthCheck))
    @given(ACTIONS)
    def run(actions: list[str]) -> None:
        orders.clear_selection(
            world.database, world.who, orders.SelectionKey("pool"), now=world.clock
        )
        assets.append(world.add_asset())
        world.select(assets[-1])
        order_id, model = world.order(FILES).order_id, Model()
        for action in actions:
            act(world, order_id, model, action)
        look(world, order_id, model)

    run()


VALUE = st.text(max_size=30) | st.sampled_from(
    ["CON", "a/b", "..", "x" * 300, "é" * 200, "Å", "a ", "a.", "İ", "ß", "ﬁ"]
)
TEMPLATES = st.sampled_from(
    [
        "{asset.stem}.{ext}",
        "{asset.title}_{rendition}.{ext}",
        "{asset.folder}/{asset.stem}.{ext}",
        "{asset.title}/{asset.stem}/{asset.title}.{ext}",
    ]
)
ITEMS = st.lists(
    st.fixed_dictionaries(
        {
            "asset.stem": VALUE,
            "asset.title": VALUE,
            "asset.folder": VALUE,
            "rendition": st.sampled_from(["preview", "mp4"]),
            "ext": st.sampled_from(["jpg", "", "JPG", "tar.gz", "x" * 20]),
        }
    ),
    max_size=12,
)


@given(TEMPLATES, ITEMS)
def test_names_are_safe_and_each_is_there_once(template: str, items: list[dict[str, str]]) -> None:
    """On every system: no forbidden name, no two that are one, none that is a folder as well."""
    resolve = compile_template(template)
    made = number_duplicates([resolve(item) for item in items])
    assert made == number_duplicates([resolve(item) for item in items])
    folded = [fold_file_name(path) for path in made]
    assert len(set(folded) | set(RESERVED)) == len(made) + len(RESERVED)
    for path in made:
        *folders, name = path.split("/")
        assert len(name.encode()) <= NAME_BYTES_MAX
        assert len("/".join(folders).encode()) <= FOLDERS_BYTES_MAX
        for part in (*folders, name):
            assert check_file_name(part, field="part") == part
        for depth in range(1, len(folders) + 1):
            assert fold_file_name("/".join(folders[:depth])) not in folded
