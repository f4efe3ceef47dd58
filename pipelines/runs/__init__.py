"""Runs: what is done with a plan, whatever the engine. batch.py is the heart, run.py the way in."""
