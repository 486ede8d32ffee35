"""The benchmark suite: `make bench-quick` and `make bench`. It measures the product and is no part of it."""
