"""The customer's command `entrepot`."""

import sys


def main() -> None:
    """Run the command with the arguments of this process and exit with its status."""
    if sys.argv[1:] == ["--version"]:
        # Answered before anything is imported: scripts ask for this often.
        from entrepot import __version__

        sys.stdout.write(f"entrepot, version {__version__}\n")
        return
    from entrepot.cli.app import run

    sys.exit(run(sys.argv[1:]))
