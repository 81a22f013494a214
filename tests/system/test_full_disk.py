"""The database's disk fills up for real: the reserve carries the hub on, and comes back."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mounts import in_own_mounts

CHILD = Path(__file__).with_name("full_disk_child.py")


@pytest.mark.system
@pytest.mark.needs("mounts")
def test_links_and_log_go_on_from_the_reserve(tmp_path: Path) -> None:
    prefix = in_own_mounts() or ()
    done = subprocess.run(
        [*prefix, sys.executable, str(CHILD), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["before"] == "held"
    # About a hundred rows of 20 KB fit into the 2 MiB of the reserve, and none was lost.
    assert 10 < facts["written"] < 400
    assert facts["kept"] == facts["written"]
    assert facts["full"] == "released"
    assert facts["after"] == [True, "held"]
