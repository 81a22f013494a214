"""Small files: how long a customer waits for 2,000 files of 100 KB, beside edmgr."""

from bench._cpu import median
from bench._customer_hub import CustomerHub, Run, by_edmgr, by_entrepot, measured, serving
from bench._figures import Figure, Report

COUNT = 1000  # in each of two releases: a release has no more
SIZE = 100_000
ROUNDS = 3
SHAPE = (
    "two releases of 1,000 files of 100,000 random bytes, from `entrepotd serve` on loopback to "
    "tmpfs (where fsync does nothing), all on both cores; each release by one command. `entrepot "
    "download-artifacts` as it is (three files at a time, SHA-256 verified) and edmgr (one file "
    "at a time, nothing verified), start-up included. Wall time of both releases; edmgr once."
)


def measure() -> Report:
    """Ours, edmgr once, ours again."""
    files = {
        f"SMALL{part}": [(f"file-{part}-{n:04d}.bin", SIZE) for n in range(COUNT)]
        for part in range(2)
    }
    with serving(files) as hub:
        ours = [_both(hub, ours=True)]
        theirs = _both(hub, ours=False)
        ours += [_both(hub, ours=True) for _ in range(ROUNDS - 1)]
    samples = tuple(theirs.wall / run.wall for run in ours)
    wall, cpu = median([run.wall for run in ours]), median([run.cpu for run in ours])
    peer = (
        f"entrepot {wall:.1f} s, {cpu:.1f} s of CPU; "
        f"edmgr 1.3.2 {theirs.wall:.1f} s, {theirs.cpu:.1f} s of CPU"
    )
    return Report(
        SHAPE,
        [
            Figure(
                "2,000 files of 100 KB",
                median(samples),
                "x as fast as edmgr",
                samples,
                ">= 5",
                peer,
            )
        ],
    )


def _both(hub: CustomerHub, *, ours: bool) -> Run:
    fetch = by_entrepot if ours else by_edmgr
    runs = [
        measured(hub, lambda folder, release=release: fetch(hub, release, folder))  # type: ignore[misc]
        for release in hub.releases
    ]
    return Run(sum(run.wall for run in runs), sum(run.cpu for run in runs))
