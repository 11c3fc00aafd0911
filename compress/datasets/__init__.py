"""Real data sets as tasks with splits that never overlap."""
