"""Files that come by the admin API are measured by a worker, as `entrepotd assets add` does it."""

from typing import Any

from sqlalchemy import text

from entrepot.core.catalogue import note_facts
from tests.conversions import clips
from tests.doors.admin_world import Desk, open_desk
from tests.jobs.toys import ON_SQLITE
from tests.jobs.worker_world import World, picture
from tests.waiting import wait_until


def upload(desk: Desk, name: str, data: bytes) -> Any:
    query = f"file_name={name}&visibility=public&identifier={name}"
    answer = desk.ask("POST", f"/assets?{query}", content=data)
    assert answer.status_code == 201, answer.text
    assert answer.json()["facts"] == {}
    return answer.json()


def jobs_left(world: World) -> int:
    schema = "dbos." if world.hub.database.dialect == "postgresql" else ""
    with world.hub.database.read() as tx:
        query = text(
            f"SELECT count(*) FROM {schema}workflow_status WHERE name LIKE '%measure_asset%'"
            " AND status IN ('ENQUEUED', 'PENDING')"
        )
        return int(tx.execute(query).scalar_one())


@ON_SQLITE
def test_uploads_are_measured_and_what_cannot_be_keeps_no_facts(world: World) -> None:
    with open_desk(world.hub) as desk:
        photo = upload(desk, "photo.jpg", picture(1))
        film = upload(desk, "film.mp4", clips.make(width=64, height=48, seconds=1, sound=False))
        broken = upload(desk, "broken.jpg", picture(2)[:200])
        note = upload(desk, "note.txt", b"nothing to be measured")
        assert jobs_left(world) == 3  # with their uploads, and none for the text
        world.work()
        wait_until(lambda: jobs_left(world) == 0)

        def facts(asset: Any) -> Any:
            return desk.ask("GET", f"/assets/{asset['id']}").json()["facts"]

        assert (facts(photo)["width"], facts(photo)["height"]) == (320, 240)
        assert (facts(film)["width"], facts(film)["height"]) == (64, 48)
        assert facts(film)["duration_seconds"] == 1
        assert facts(broken) == facts(note) == {}
        log = world.log.read_text()
        assert log.count("an asset cannot be measured") == 1
        assert f'"asset_id":{broken["id"]}' in log.replace(": ", ":")

        # Another file, and the first one again: each is measured anew.
        for data, width in ((picture(3, side=160), 160), (picture(1), 320)):
            path = f"/assets/{photo['id']}/file"
            assert desk.ask("PUT", path, content=data).json()["facts"] == {}
            wait_until(lambda: facts(photo) != {})
            assert facts(photo)["width"] == width

        # What was measured before the file changed is not written to the new one.
        with world.hub.database.write() as tx:
            assert not note_facts(tx, photo["id"], broken["sha256"], {"x": 1}, now=world.hub.now())
        assert "x" not in facts(photo)
