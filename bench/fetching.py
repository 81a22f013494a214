"""Fetching: how long a customer waits for one large file, beside curl, aria2c and edmgr."""

import shutil

from bench._cpu import median
from bench._customer_hub import (
    CustomerHub,
    Run,
    by_aria2c,
    by_curl,
    by_edmgr,
    by_entrepot,
    measured,
    serving,
)
from bench._figures import Figure, Report

SIZE = 2 << 30
ROUNDS = 3
EDMGR_ROUNDS = 1
ARIA2C_CONNECTIONS = 8
SHAPE = (
    "one file of 2 GiB of random bytes, from `entrepotd serve` on loopback to tmpfs (where fsync "
    "does nothing), all on both cores. `entrepot download-artifacts` with its start-up, its API "
    "calls and the SHA-256 verified; `curl -o` of a link at hand, nothing verified; `aria2c -x8` "
    "of a link at hand, SHA-256 verified; edmgr with its start-up, nothing verified. Wall time, "
    "in turn."
)


def measure() -> Report:
    """All in turn, ratios of neighbours."""
    with serving({"LARGE": [("large.bin", SIZE)]}) as hub:
        return Report(SHAPE, _figures(hub))


def _figures(hub: CustomerHub) -> list[Figure]:
    release = hub.releases[0]
    aria2c = shutil.which("aria2c") is not None
    taken: dict[str, list[Run]] = {"curl": [], "entrepot": [], "aria2c": [], "edmgr": []}
    for number in range(ROUNDS):
        taken["curl"].append(measured(hub, lambda folder: by_curl(hub, release, folder)))
        taken["entrepot"].append(measured(hub, lambda folder: by_entrepot(hub, release, folder)))
        if aria2c:
            fetch = measured(hub, lambda it: by_aria2c(hub, release, it, ARIA2C_CONNECTIONS))
            taken["aria2c"].append(fetch)
        if number < EDMGR_ROUNDS:
            taken["edmgr"].append(measured(hub, lambda folder: by_edmgr(hub, release, folder)))
    ours, curl, theirs = (_walls(taken[name]) for name in ("entrepot", "curl", "edmgr"))
    told = f"entrepot {median(ours):.2f} s, {_cpu(taken['entrepot']):.2f} s of CPU"
    to_curl = [mine / its for mine, its in zip(ours, curl, strict=True)]
    figures = [
        Figure(
            "2 GiB, SHA-256 verified",
            median(to_curl),
            "x `curl -o`",
            tuple(to_curl),
            "<= 1.3",
            f"{told}; curl {median(curl):.2f} s, {_cpu(taken['curl']):.2f} s of CPU",
        ),
        Figure(
            "2 GiB, SHA-256 verified",
            median(ours) / median(theirs),
            "x edmgr",
            (),
            "<= 0.35",
            f"edmgr 1.3.2 {median(theirs):.2f} s, {_cpu(taken['edmgr']):.2f} s of CPU",
        ),
    ]
    if not aria2c:
        peer = Figure("2 GiB, beside aria2c", median(ours), "s", tuple(ours), "", "no aria2c here")
        return [*figures, peer]
    aria = _walls(taken["aria2c"])
    ratios = tuple(mine / its for mine, its in zip(ours, aria, strict=True))
    said = f"aria2c -x8 {median(aria):.2f} s, {_cpu(taken['aria2c']):.2f} s of CPU"
    return [
        *figures,
        Figure("2 GiB, both verified", median(ratios), "x aria2c -x8", ratios, "", said),
    ]


def _walls(runs: list[Run]) -> list[float]:
    return [run.wall for run in runs]


def _cpu(runs: list[Run]) -> float:
    return median([run.cpu for run in runs])
