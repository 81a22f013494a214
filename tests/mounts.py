"""Mount namespaces, for tests that need a small file system of their own."""

import shutil
import subprocess
import tempfile
from functools import cache


@cache
def in_own_mounts() -> tuple[str, ...] | None:
    """A prefix that may mount: as root, or as root of a user namespace; None without either."""
    if shutil.which("unshare") is None:
        return None
    for flags in (("--mount",), ("--map-root-user", "--mount")):
        with tempfile.TemporaryDirectory() as folder:
            command = ["unshare", *flags, "mount", "-t", "tmpfs", "tmpfs", folder]
            tried = subprocess.run(command, capture_output=True, check=False)
        if tried.returncode == 0:
            return ("unshare", *flags)
    return None
