"""The operator's command `entrepotd`."""

import sys

__all__ = ["main"]


def main() -> None:
    """Run `entrepotd` with the arguments of this process, and exit with its code."""
    if sys.argv[1:] == ["--version"]:
        # Answered before anything is imported: scripts ask for this often.
        from entrepot import __version__

        sys.stdout.write(f"entrepotd, version {__version__}\n")
        return
    from entrepot.daemon.app import run

    sys.exit(run(sys.argv[1:]))
