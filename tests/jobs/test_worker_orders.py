"""Real orders through real workers: `entrepotd work` in processes of their own."""

from PIL import Image

from entrepot.core.orders import decode_package
from tests.jobs.worker_world import World, picture

SMALL = (
    {"type": "resize", "value": {"width": 64}},
    {"type": "fileExtension", "value": "png"},
)


def test_an_order_is_converted_and_packed(world: World) -> None:
    who = world.customer()
    assets = world.add_pictures(3)
    [broken] = world.add(("broken.jpg", picture(7)[:300]))
    order_id = world.place(who, [*assets, broken], SMALL)
    world.work()
    world.wait_for(order_id)
    order = world.order(order_id)
    assert order.status == "CompletedWithErrors"
    assert (order.files_total, order.files_completed, order.files_failed) == (4, 3, 1)
    with world.hub.blobs.open(order.package_sha256) as stored:
        entries = decode_package(stored.read())
    made = [entry for entry in entries if entry.name.endswith(".png")]
    assert len(made) == 3
    for entry in made:
        with world.hub.blobs.open(entry.sha256) as stored, Image.open(stored) as image:
            assert (image.format, image.size) == ("PNG", (64, 48))
    told = world.events(order_id)
    assert (told[0], told[-1]) == ("order.placed", "order.completed")
    assert told.count("order.completed") == 1
