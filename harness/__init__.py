"""Measures: benchmarks, lanes, workers, and the records of a run. Torch is imported only inside workers and suites."""

__version__ = "0.1.0"
