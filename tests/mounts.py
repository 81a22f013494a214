"""Mount namespaces, for tests that need a small file system of their own."""

import shutil
import subprocess
from pathlib import Path


def in_own_mounts(folder: Path) -> list[str] | None:
    """A prefix that may mount: as root, or as root of a user namespace; None without either."""
    for flags in (["--mount"], ["--map-root-user", "--mount"]):
        prefix = ["unshare", *flags]
        if (
            shutil.which("unshare")
            and not subprocess.run(
                [*prefix, "mount", "-t", "tmpfs", "tmpfs", str(folder)],
                capture_output=True,
                check=False,
            ).returncode
        ):
            return prefix
    return None
