"""What runs inside the sandbox, one item at a time: `python -m entrepot.core.conversions.runners`.

A runner is a module (or package) `image`, `video`, `audio`, `document` in here with

    convert(source: Path, recipe: Recipe, target: Path, limits: Limits,
            watermarks: Sequence[Path]) -> dict[str, Fact]
    probe(source: Path, content_type: str, limits: Limits) -> dict[str, Fact]

It raises protocol.Refused for what the file or the recipe does not allow, imports its heavy
libraries inside, and takes what hardening.py says about them.
"""
