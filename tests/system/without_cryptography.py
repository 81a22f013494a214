"""Our command where `cryptography` cannot be imported, as it is installed without the server."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class Blocked(MetaPathFinder):
    """Finds no package of that name, wherever it lies."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """An error for `cryptography` and what is in it; nothing else is ours to find."""
        if fullname.partition(".")[0] == "cryptography":
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


if __name__ == "__main__":
    assert "cryptography" not in sys.modules
    sys.meta_path.insert(0, Blocked())
    from entrepot.cli.app import run

    sys.exit(run(sys.argv[1:]))
