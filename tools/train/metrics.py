"""Distances between samples and data, float64, natural logarithm; a non-finite point counts as (1000, 1000)."""

import math

import numpy as np

Points = np.ndarray
RING_GRID = (50, 1.5)
LETTER_GRID = (30, 1.25)
DIRECTIONS = 64


def finite(points: Points) -> Points:
    points = np.asarray(points, np.float64)
    return np.where(np.isfinite(points).all(1, keepdims=True), points, 1e3)


def kl_2d(samples: Points, data: Points, bins: int, half_width: float) -> float:
    def density(points: Points) -> np.ndarray:
        index = np.clip(np.floor((points + half_width) * bins / (2 * half_width)), 0, bins - 1).astype(int)
        counts = np.bincount(index[:, 0] * bins + index[:, 1], minlength=bins * bins)
        return (counts / len(points) + 1e-5) / (1 + 1e-5 * bins * bins)

    p, q = density(samples), density(data)
    return float(np.sum(p * np.log(p / q)))


def kl_1d(samples: Points, data: Points) -> float:
    """All coordinates pooled, 50 bins on [-4, 4]: blind to joint structure, kept to compare with the paper."""

    def density(points: Points) -> np.ndarray:
        index = np.clip(np.floor((points.ravel() + 4) * 50 / 8), 0, 49).astype(int)
        p = np.bincount(index, minlength=50) / points.size + 1e-10
        return p / p.sum()

    p, q = density(samples), density(data)
    return float(np.sum(p * np.log(p / q)))


def sliced(samples: Points, data: Points) -> tuple[float, float]:
    """Sliced Wasserstein (p = 1) and energy distance, mean over 64 directions."""
    wasserstein = energy = 0.0
    for i in range(DIRECTIONS):
        angle = (i + 0.5) * math.pi / DIRECTIONS
        direction = np.array([math.cos(angle), math.sin(angle)])
        u, v = np.sort(samples @ direction), np.sort(data @ direction)
        grid = np.sort(np.concatenate([u, v]))
        gap = np.searchsorted(u, grid[:-1], "right") / len(u) - np.searchsorted(v, grid[:-1], "right") / len(v)
        wasserstein += float(np.abs(gap) @ np.diff(grid))
        energy += float(2 * gap**2 @ np.diff(grid))
    return wasserstein / DIRECTIONS, math.pi / 2 * energy / DIRECTIONS


def compare(samples: Points, data: Points, bins: int, half_width: float) -> dict[str, float]:
    samples, data = finite(samples), finite(data)
    wasserstein, energy = sliced(samples, data)
    radius = np.hypot(samples[:, 0], samples[:, 1])
    return {
        "n": len(samples),
        "nData": len(data),
        "kl1d": kl_1d(samples, data),
        "kl2d": kl_2d(samples, data, bins, half_width),
        "slicedWasserstein": wasserstein,
        "energyDistance": energy,
        "radiusMean": float(radius.mean()),
        "radiusStd": float(radius.std()),
    }
