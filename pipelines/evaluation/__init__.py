"""Evaluation: protocols of the paper's tables, control of single attributes, steadiness, and the report of it all."""
