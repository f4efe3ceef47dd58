"""Measurements that are repeated by hand: how the Ray engine scales, and what it makes of a GPU. Figures are in docs/ray.md."""
