"""Orders per second: claims through the lane beside the same claims as one would write them otherwise.

`python -m tests.bench.orders`; what is measured is described on the page that it writes, docs/benchmarks/orders.md.
"""
