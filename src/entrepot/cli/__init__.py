"""The customer's command `entrepot`."""

import gc
import sys


def main() -> None:
    """Run the command with the arguments of this process and exit with its status."""
    if sys.argv[1:] == ["--version"]:
        # Answered before anything is imported: scripts ask for this often.
        from entrepot import __version__

        sys.stdout.write(f"entrepot, version {__version__}\n")
        return
    # A command is short and makes little that only the collector could free; at its usual pace
    # it would look at all that was imported again and again.
    gc.set_threshold(50_000)  # young objects
    from entrepot.cli.app import run

    sys.exit(run(sys.argv[1:]))
