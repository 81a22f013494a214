"""What the hub costs: `python -m bench` (see docs/reference/benchmarks.md)."""
