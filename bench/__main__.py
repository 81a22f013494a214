"""Measure what the hub costs, beside peers where one is named; nothing is asserted.

    python -m bench [NAME ...] [--json] [--write]
    make bench ARGS="listing issuing"

Without names: all of them, about half an hour on a quiet machine with two cores.
--write puts the figures into docs/reference/benchmarks.md, each name's own section.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime

from bench import (
    baseline,
    converting,
    fetching,
    ingest,
    issuing,
    light_client,
    listing,
    lossy_line,
    ordering,
    products,
    redeeming,
    sending,
    slow_readers,
    small_files,
    stages,
    thumbnails,
    tokens,
    zip_delivery,
)
from bench._cpu import load, machine, pin_clients, raise_descriptor_limit, versions
from bench._document import DOCUMENT, Run, replace_section
from bench._figures import Report

BENCHES: Mapping[str, Callable[[], Report]] = {
    "baseline": baseline.measure,
    "listing": listing.measure,
    "stages": stages.measure,
    "issuing": issuing.measure,
    "redeeming": redeeming.measure,
    "tokens": tokens.measure,
    "sending": sending.measure,
    "slow_readers": slow_readers.measure,
    "ordering": ordering.measure,
    "products": products.measure,
    "converting": converting.measure,
    "thumbnails": thumbnails.report,
    "zip_delivery": zip_delivery.measure,
    "ingest": ingest.report,
    "fetching": fetching.measure,
    "small_files": small_files.measure,
    "lossy_line": lossy_line.measure,
    "light_client": light_client.measure,
}
_ON_EVERY_CORE = ("ingest", "thumbnails", "fetching", "small_files", "lossy_line")


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="What the hub costs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHES)}")
    parser.add_argument("--json", action="store_true", help="print one JSON object a name")
    parser.add_argument("--write", action="store_true", help=f"update {DOCUMENT.name}")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in BENCHES]
    if unknown:
        parser.error(f"there is no bench {unknown[0]!r}; names: {', '.join(BENCHES)}")
    raise_descriptor_limit()
    cores = os.sched_getaffinity(0)
    for name in options.names or BENCHES:
        # Each begins as it would alone; some use every core.
        os.sched_setaffinity(0, cores)
        if name not in _ON_EVERY_CORE:
            pin_clients()
        run = _run(name)
        sys.stdout.write(f"{json.dumps(asdict(run)) if options.json else run.text()}\n")
        sys.stdout.flush()
        if options.write:
            replace_section(run)


def _run(name: str) -> Run:
    before = load()
    report = BENCHES[name]()
    return Run(
        name=name,
        shape=report.shape,
        figures=tuple(report.figures),
        date=datetime.now(UTC).date().isoformat(),
        machine=machine(),
        versions=versions(),
        load=max(before, load()),
    )


if __name__ == "__main__":
    main()
