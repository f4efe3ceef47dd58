"""Stages: track, crop, decompose, encode, transfer, render, paste. Functions of records; they know no engine."""
