"""Command line, recipes, pipeline, reports and our own benchmarks."""
