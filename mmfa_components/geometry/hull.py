"""Convex hulls of a few points in the plane."""

from __future__ import annotations

from torch import Tensor


def convex_hull(points: Tensor) -> list[tuple[float, float]]:
    """Corners of the convex hull of points (P, 2), by Andrew's monotone chain, with y up counter-clockwise."""
    rows: list[tuple[float, float]] = sorted((float(x), float(y)) for x, y in points.tolist())

    def half(order: list[tuple[float, float]]) -> list[tuple[float, float]]:
        chain: list[tuple[float, float]] = []
        for x, y in order:
            while len(chain) > 1:
                (ax, ay), (bx, by) = chain[-2:]
                if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0:
                    break
                chain.pop()
            chain.append((x, y))
        return chain[:-1]

    return half(rows) + half(rows[::-1])


def hull_area(points: Tensor) -> float:
    """Area of the convex hull of points (P, 2); at least 1e-8."""
    hull = convex_hull(points)
    twice = sum(ax * by - bx * ay for (ax, ay), (bx, by) in zip(hull, hull[1:] + hull[:1], strict=True))
    return max(abs(twice) / 2, 1e-8)
