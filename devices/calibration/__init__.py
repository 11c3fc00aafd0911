"""Published latencies that estimates are fitted to, as data files with their sources."""
