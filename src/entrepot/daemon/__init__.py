"""The operator's command `entrepotd`."""

import sys

__all__ = ["main"]


def main() -> None:
    """Run `entrepotd` with the arguments of this process, and exit with its code."""
    from entrepot.daemon.app import run

    sys.exit(run(sys.argv[1:]))
