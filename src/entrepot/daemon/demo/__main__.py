"""`python -m entrepot.daemon.demo --data DIR --bind HOST:PORT [--once]`, run by `make demo`."""

import argparse
import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from entrepot.daemon.demo._hub import describe, require_free, running_hub
from entrepot.daemon.demo._tour import Tour
from entrepot.daemon.demo.failure import DemoFailure


def main() -> int:
    """Start the hub, run the tour, go on serving; 0 unless something went wrong."""
    options = _options()
    signal.signal(signal.SIGTERM, _stop)
    data = options.data.absolute()
    try:
        require_free(options.bind)
        print(f"Starting a hub with sample data at http://{options.bind} ...", flush=True)
        with running_hub(data, options.bind) as hub:
            world = describe(data)
            folder = data / "customer"
            shutil.rmtree(folder, ignore_errors=True)  # an earlier run's downloads
            Tour(world, folder).run()
            _say_where(world, data, folder)
            if options.once:
                print(
                    "\nThat was all; the hub stops. Without ONCE=1 it goes on serving.", flush=True
                )
                return 0
            print("\nServing until Ctrl-C.", flush=True)
            return 1 if hub.wait() else 0
    except DemoFailure as error:
        print(f"\nThe demonstration stopped: {error.message} {error.remedy}".rstrip(), flush=True)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", flush=True)
        return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m entrepot.daemon.demo", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(".demo"), help="folder of the hub")
    parser.add_argument("--bind", default="127.0.0.1:8080", help="HOST:PORT to listen at")
    parser.add_argument("--once", action="store_true", help="stop when the tour is done")
    return parser.parse_args()


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _say_where(world: Mapping[str, Any], data: Path, folder: Path) -> None:
    print(f"\nThe hub        {world['url']}")
    print(f"Files          {folder / 'files'}")
    print(f"All of it      entrepotd sandbox --data {data}")
    print("Sign in as")
    for user in world["users"]:
        roles = ", ".join(user["roles"])
        print(f"  {user['email']:<22}{user['password']:<21}{user['organisation']} ({roles})")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
