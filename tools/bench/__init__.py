"""Our own benchmarks: ratios against a named baseline in one run."""
