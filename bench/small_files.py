"""Small files: how long a customer waits for 2,000 files of 100 KB, beside edmgr."""

from collections.abc import Sequence

from bench._cpu import median
from bench._customer_hub import CustomerHub, Run, by_edmgr, by_entrepot, measured, serving
from bench._figures import Figure, Report

COUNT = 1000  # in each of two releases: a release has no more
SIZE = 100_000
ROUNDS = 5
SHAPE = (
    "two releases of 1,000 files of 100,000 random bytes, from `entrepotd serve` on loopback to "
    "tmpfs (where fsync does nothing), all on both cores; each release by one command. `entrepot "
    "download-artifacts` as it is (three files at a time, SHA-256 verified) and edmgr (one file "
    "at a time, nothing verified), start-up included. Wall time of both releases; ours and edmgr's "
    "in turn, each ratio of two runs that follow each other."
)


def measure() -> Report:
    """Ours and edmgr's in turn: the speed of a machine that others share changes by the minute."""
    files = {
        f"SMALL{part}": [(f"file-{part}-{n:04d}.bin", SIZE) for n in range(COUNT)]
        for part in range(2)
    }
    with serving(files) as hub:
        _both(hub, ours=True)
        pairs = [(_both(hub, ours=True), _both(hub, ours=False)) for _ in range(ROUNDS)]
    samples = tuple(theirs.wall / mine.wall for mine, theirs in pairs)
    ours, edmgr = (_middle(runs) for runs in zip(*pairs, strict=True))
    peer = (
        f"entrepot {ours.wall:.1f} s, {ours.cpu:.1f} s of CPU; "
        f"edmgr 1.3.2 {edmgr.wall:.1f} s, {edmgr.cpu:.1f} s of CPU"
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


def _middle(runs: Sequence[Run]) -> Run:
    return Run(median([run.wall for run in runs]), median([run.cpu for run in runs]))


def _both(hub: CustomerHub, *, ours: bool) -> Run:
    fetch = by_entrepot if ours else by_edmgr
    runs = [
        measured(hub, lambda folder, release=release: fetch(hub, release, folder))  # type: ignore[misc]
        for release in hub.releases
    ]
    return Run(sum(run.wall for run in runs), sum(run.cpu for run in runs))
