"""A hub on a file system of 24 MiB that fills up: run in a mount namespace of its own.

Prints one JSON object: what happened to writes while the disk was full, and afterwards.
"""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from entrepot.assembly import Hub, assemble, prepare
from entrepot.core.events import Event, record
from entrepot.db import Tx
from entrepot.errors import StorageFull
from entrepot.settings import from_env
from entrepot.web.http.edge import Edge

ROW = "x" * 20_000
WRITES = 400


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as ballast:
        try:
            while ballast.write(bytes(4096)):
                pass
        except OSError:
            return


async def write_rows(edge: Edge, hub: Hub) -> int:
    """How many rows went in before the disk was truly full."""

    def verb(tx: Tx) -> None:
        record(tx, Event("order.progress", "system", "test:1", data={"row": ROW}), now=hub.now())

    for written in range(WRITES):
        try:
            await edge.write(verb)
        except StorageFull:
            return written
    return WRITES


async def drive(folder: Path) -> dict[str, object]:
    settings = from_env(
        {
            "ENTREPOT_DATA": str(folder),
            "ENTREPOT_SECRET_KEY": "T3st-0nly-secret.T3st-0nly-secret.42",
            "ENTREPOT_RESERVE_BYTES": "2 MiB",
        },
        cores=1,
    )
    prepare(settings)
    hub = assemble(settings)
    edge = Edge(hub)
    facts: dict[str, object] = {"before": hub.reserve.state().value}
    fill(folder / "ballast")
    facts["written"] = await write_rows(edge, hub)
    facts["full"] = hub.reserve.state().value
    with hub.database.read() as tx:
        facts["kept"] = tx.exec_driver_sql(
            "SELECT count(*) FROM events WHERE type = 'order.progress'"
        ).scalar_one()
    (folder / "ballast").unlink()
    facts["after"] = [await write_rows(edge, hub) > 0, hub.reserve.restore().value]
    edge.close()
    hub.close()
    return facts


if __name__ == "__main__":
    place = Path(sys.argv[1])
    mount = ["mount", "-t", "tmpfs", "-o", "size=40m,mode=700", "tmpfs", str(place)]
    subprocess.run(mount, check=True)
    print(json.dumps(asyncio.run(drive(place))))
