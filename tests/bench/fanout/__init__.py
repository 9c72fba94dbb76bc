"""The fan-out benchmark: `python -m tests.bench.fanout --quick`."""
