"""Benchmarks of quality and speed: `python -m eval.benchmarks` prints one table of the suites in `suites.toml`."""
