"""Photographs to 1024 pixels: pictures a second, beside `vipsthumbnail` on the same files.

    python -m bench.thumbnails [--pictures 500] [--rounds 3] [--folder DIR]

JPEGs of 12 to 24 megapixels in the page cache, smooth shapes under fine grain, so that they have
the size of photographs. One process a core on either side, each with its share of the files. Ours
is measured twice: the image runner alone, and as the hub has it, in the sandbox with a file
descriptor in and one out. Alternately; medians of the wall time. Higher is better.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyvips

from bench._figures import Figure, Report
from entrepot.core.conversions.port import Limits
from entrepot.core.conversions.recipes import Recipe, Step, recipe_to_document
from entrepot.core.conversions.sandbox import SandboxedConverter

PICTURES = 60
ROUNDS = 3
EDGE = 1024
QUALITY = 80
TARGET = ">= 0.7"
_VARIETY = ((6000, 4000), (5472, 3648), (4032, 3024), (3648, 5472), (4256, 2832), (4000, 6000))
_RECIPE = Recipe(
    "image",
    (
        Step("resize", {"width": EDGE, "height": EDGE, "fit": "inside", "upscale": False}),
        Step("colorSpace", "srgb"),
        Step("colorProfile", "embed"),
        Step("metadata", "strip"),
        Step("quality", QUALITY),
    ),
    "jpg",
    "image/jpeg",
)
_RUNNER = """
import json, sys
from pathlib import Path
from entrepot.core.conversions.port import Limits
from entrepot.core.conversions.recipes import recipe_from_document
from entrepot.core.conversions.runners.image import convert
recipe, out = recipe_from_document(json.loads(sys.argv[1])), Path(sys.argv[2])
for name in sys.argv[3:]:
    convert(Path(name), recipe, out / Path(name).name, Limits())
"""

Shares = Sequence[Sequence[Path]]


def make_pictures(folder: Path, count: int) -> list[Path]:
    """`count` files of a few different pictures; no two are one file."""
    models = []
    for at, (width, height) in enumerate(_VARIETY[:count]):
        small = pyvips.Image.gaussnoise(width // 80, height // 80, mean=128, sigma=60, seed=at)
        shapes = small.resize(width / small.width, vscale=height / small.height, kernel="cubic")
        rgb = shapes.bandjoin([shapes.fliphor(), shapes.flipver()])
        grain = pyvips.Image.gaussnoise(width, height, mean=0, sigma=5, seed=at)
        model = folder / f"model{at}.jpg"
        (rgb + grain).cast("uchar").copy(interpretation="srgb").jpegsave(str(model), Q=88)
        models.append(model)
    made = []
    for at in range(count):
        made.append(folder / f"{at:04}.jpg")
        shutil.copyfile(models[at % len(models)], made[-1])
    return made


def _run_all(commands: Sequence[Sequence[str]], **environment: str) -> None:
    known = {**os.environ, **environment}
    started = [subprocess.Popen(command, env=known) for command in commands]
    codes = [process.wait() for process in started]
    if any(codes):
        raise RuntimeError(f"{commands[0][0]} failed")


def _peer(shares: Shares, out: Path, **environment: str) -> None:
    size = ["--size", f"{EDGE}x{EDGE}>"]
    form = ["-o", f"{out}/%s.jpg[Q={QUALITY}]"]
    _run_all([["vipsthumbnail", *size, *form, *map(str, share)] for share in shares], **environment)


def _runner(shares: Shares, out: Path) -> None:
    told = json.dumps(recipe_to_document(_RECIPE))
    command = [sys.executable, "-c", _RUNNER, told, str(out)]
    _run_all([[*command, *map(str, share)] for share in shares])


def _sandboxed(shares: Shares, out: Path) -> None:
    document = recipe_to_document(_RECIPE)

    def work(share: Sequence[Path]) -> None:
        converter = SandboxedConverter(Limits())
        try:
            for path in share:
                with path.open("rb") as source, (out / path.name).open("w+b") as target:
                    converter.convert(source, document, target)
        finally:
            converter.close()

    with ThreadPoolExecutor(len(shares)) as pool:
        list(pool.map(work, shares))


def measure(folder: Path, *, pictures: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each round, by who did it; without `vipsthumbnail` where there is none."""
    files = make_pictures(folder, pictures)
    cores = len(os.sched_getaffinity(0))
    shares = [files[at::cores] for at in range(cores)]
    ways: dict[str, Callable[[Path], None]] = {
        "runner": lambda out: _runner(shares, out),
        "sandbox": lambda out: _sandboxed(shares, out),
    }
    if shutil.which("vipsthumbnail"):
        # As it comes, and with one thread for each of its processes: the better one counts.
        ways["vipsthumbnail"] = lambda out: _peer(shares, out)
        ways["vipsthumbnail, 1 thread"] = lambda out: _peer(shares, out, VIPS_CONCURRENCY="1")
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for at in range(rounds + 1):
        for name, act in ways.items():
            out = folder / "out"
            out.mkdir()
            start = time.perf_counter()
            act(out)
            spent = time.perf_counter() - start
            if len(list(out.iterdir())) != len(files):
                raise RuntimeError(f"{name} did not make every thumbnail")
            shutil.rmtree(out)
            if at:  # the first round fills the page cache
                taken[name].append(spent)
    return taken


def report() -> Report:
    """The figures for `python -m bench`."""
    with tempfile.TemporaryDirectory() as name:
        return figures(measure(Path(name), pictures=PICTURES, rounds=ROUNDS), PICTURES)


def figures(taken: dict[str, list[float]], pictures: int) -> Report:
    """Pictures a second, and the ratio to the peer where it ran."""
    peers = [seconds for name, seconds in taken.items() if name.startswith("vipsthumbnail")]
    best = min(map(statistics.median, peers)) if peers else None
    made = []
    for name, what in (("runner", "image runner alone"), ("sandbox", "converter in its sandbox")):
        median = statistics.median(taken[name])
        rate = f"{pictures / median:.1f} pictures a second"
        if best is None:
            figure = Figure(what, pictures / median, "a second", peer="no vipsthumbnail on PATH")
        else:
            ratios = tuple(best / seconds for seconds in taken[name])
            beside = f"{rate}; vipsthumbnail {pictures / best:.1f}"
            figure = Figure(what, best / median, "x vipsthumbnail", ratios, TARGET, beside)
        made.append(figure)
    return Report(
        f"{pictures} JPEGs of 12 to 24 megapixels to {EDGE} px, JPEG of quality {QUALITY} in sRGB, "
        "one process a core on either side, each with its share; page cache warm.",
        made,
    )


def main() -> None:
    """Print one line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pictures", type=int, default=PICTURES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to measure")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        taken = measure(Path(name), pictures=options.pictures, rounds=options.rounds)
    made = figures(taken, options.pictures)
    print(made.shape)
    for figure in made.figures:
        print(f"  {figure.line()}")


if __name__ == "__main__":
    main()
