"""Gates: numbers of files against budgets and baselines, verdicts with reasons, reports for CI."""
