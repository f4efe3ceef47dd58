"""Training: dataset, step, loop. A short trainer for the first weights; see docs/training_log.md for the runs."""
