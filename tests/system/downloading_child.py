"""One download by the SDK in a process that can be killed: the order is one JSON object on stdin.

Ends with 0 when the file is in place; else with the exit code of the command, its error on stderr.
"""

import hashlib
import json
import sys
import threading
from pathlib import Path

from entrepot.client import Backoff, Client, ClientError, Expected, Times


def main() -> int:
    told = json.load(sys.stdin)
    folder = Path(told["folder"])
    if told.get("ballast_bytes"):
        # A file system that is filled by somebody else while the download runs.
        threading.Thread(target=_fill, args=(folder, told), daemon=True).start()
    chunks = tuple(bytes.fromhex(digest) for digest in told["chunks"])
    expected = Expected(told["size"], "sha256", told["sha256"], chunks)
    patient = Backoff(attempts=told.get("attempts", 50), first_seconds=0.02, most_seconds=0.2)
    times = Times(connect_seconds=10, stall_seconds=1, call_seconds=20)
    with Client(told["url"], told["token"], times=times, transfer_backoff=patient) as client:
        try:
            entitlement, release, artifact = told["chain"]
            done = client.download(
                entitlement,
                release,
                artifact,
                folder,
                expected=expected,
                connections=told["connections"],
            )
        except ClientError as error:
            sys.stderr.write(f"{type(error).__name__}: {error.message}\n")
            return int(error.exit_code)
    held = hashlib.sha256(done.path.read_bytes()).hexdigest()
    return 0 if held == told["sha256"] else 99


def _fill(folder: Path, told: dict[str, int]) -> None:
    while sum(path.stat().st_blocks * 512 for path in folder.iterdir()) < told["ballast_after"]:
        threading.Event().wait(0.01)
    with (folder / "ballast").open("wb", buffering=0) as ballast:
        left = told["ballast_bytes"]
        while left > 0:
            try:
                left -= ballast.write(bytes(min(left, 1 << 20)))
            except OSError:
                return


if __name__ == "__main__":
    sys.exit(main())
