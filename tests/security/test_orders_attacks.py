"""Download orders against hostile publishers and customers, and against bad luck."""

import time
from datetime import UTC, datetime

from entrepot.core.delivery import lay_out
from entrepot.core.orders.naming import RESERVED, mend_folders, mend_name, number_duplicates
from entrepot.core.orders.packages import PackageEntry
from entrepot.kit.file_names import is_device_name

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def laid_out(*paths: str) -> None:
    """The ZIP of these files beside an order's own papers; Invalid where none can be made."""
    names = [*RESERVED, *paths]
    lay_out([PackageEntry(name, 1, 1, "0" * 64) for name in names], modified=NOON)


def test_a_folder_named_like_a_paper_of_the_order_does_not_sink_the_zip() -> None:
    for folder in ("order.json", "Manifest.JSON", "REPORT.txt"):
        paths = number_duplicates([((folder,), "a.jpg"), ((folder, "order.json"), "b.jpg")])
        assert paths == [f"_{folder}/a.jpg", f"_{folder}/order.json/b.jpg"]
        laid_out(*paths)


def test_no_name_is_cut_down_to_a_device_of_windows() -> None:
    name = mend_name("CON" + " " * 250 + "x.jpg", "jpg")
    assert name == "_CON.jpg"
    assert not is_device_name(name)
    assert mend_folders("NUL" + " " * 250 + "x/a") == ("_NUL", "a")


def test_twenty_thousand_long_names_alike_but_for_their_ends_are_numbered_soon() -> None:
    names = [((), "x" * 188 + f"{number:08d}.jpg") for number in range(20_000)]
    begun = time.process_time()
    paths = number_duplicates([*names, *names])
    assert time.process_time() - begun < 20  # an hour where each counts by itself
    assert len({path.lower() for path in paths}) == 40_000
    assert max(len(path.encode()) for path in paths) <= 200
