"""The benchmark suite: `python -m benchmarks` (make bench). What it measures, and how to read it: docs/benchmarks.md."""
