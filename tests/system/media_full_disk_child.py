"""Orders while the hub's disk is full: run in a mount namespace of its own.

Prints one JSON object: how two orders went that were placed before the disk filled up and while
it was full, and what the hub still did meanwhile.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from PIL import Image

from tests.system.hubs import running_hub
from tests.system.media_orders import (
    ENDED,
    add_assets,
    link_of,
    shopper,
    steps,
    temporary_files,
    wait_for,
)

FULL_SECONDS = 4.0
SIDE = 700


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as ballast:
        try:
            while ballast.write(bytes(4096)):
                pass
        except OSError:
            return


def drive(folder: Path) -> dict[str, Any]:
    """What happened. The results are larger than what a full disk has left."""
    paths = []
    for number in range(4):
        paths.append(folder.with_name(f"noise{number}.png"))
        Image.effect_noise((SIDE, SIDE), 40 + number).save(paths[-1])
    facts: dict[str, Any] = {}
    with running_hub(folder / "data", web_processes="1", reserve_bytes="4 MiB") as hub:
        ada = shopper(hub)
        numbers = list(add_assets(hub, paths).values())
        before = ada.place({"individual": {str(numbers[0]): None}})
        fill(folder / "ballast")
        placed = ada.convert(numbers, steps("tif", rotate=90), steps("png", flip="h"))
        facts["placed"] = placed["status"]
        time.sleep(FULL_SECONDS)
        facts["while_full"] = ada.look(placed["order_id"])["status"]
        # Others go on: what is there is delivered, and the API answers.
        facts["before"] = ada.ask("GET", link_of(before)).status
        facts["ready"] = hub.ask("/readyz").json()
        (folder / "ballast").unlink()
        shown = wait_for(
            lambda: told if (told := ada.look(placed["order_id"]))["status"] in ENDED else None
        )
        facts["after"] = shown["status"]
        facts["told"] = shown["additional_info"]
        facts["delivered"] = len(ada.package(shown).manifest["files"])
        facts["left"] = [str(each) for each in temporary_files(folder)]
    return facts


if __name__ == "__main__":
    place = Path(sys.argv[1])
    mount = ["mount", "-t", "tmpfs", "-o", "size=96m,mode=700", "tmpfs", str(place)]
    subprocess.run(mount, check=True)
    print(json.dumps(drive(place)))
