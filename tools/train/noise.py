"""How far cells stand off their targets: σ(G) at an age, from a chip profile or from the measurements of a characterized chip."""

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

# Points of the table that training looks σ up in, even over the window.
GRID = 256


class CellNoise:
    """Standard deviation of G − target in µS over the window of targets, and what it is called in a model's metadata."""

    def __init__(self, name: str, conductance: np.ndarray, sigma: np.ndarray) -> None:
        order = np.argsort(conductance)
        conductance, sigma = np.asarray(conductance, float)[order], np.asarray(sigma, float)[order]
        if len(conductance) < 2 or not np.isfinite(sigma).all() or (sigma < 0).any():
            raise ValueError(f"{name}: σ must stand, 0 or more, at two conductances at least")
        self.name, self.low, self.high = name, conductance[0], conductance[-1]
        if not self.high > self.low:
            raise ValueError(f"{name}: the window from {self.low} to {self.high} µS is empty")
        grid = np.linspace(self.low, self.high, GRID)
        self.table = torch.tensor(np.interp(grid, conductance, sigma), dtype=torch.float32)

    def weight_sigma(self, weights: Tensor, largest: Tensor, replicas: int = 1) -> Tensor:
        """σ of every weight of a layer whose largest is `largest`: one-sided pairs of cells, the mean of `replicas` of them.

        The cell on the side of the sign stands at low + |w|·(high − low)/largest, its partner at low; errors are independent.
        """
        share = (weights.abs() / largest).clamp_(max=1)
        place = share * (GRID - 1)
        below = place.floor().clamp_(max=GRID - 2).long()
        sigma = torch.lerp(self.table[below], self.table[below + 1], place - below)
        pair = (sigma.square() + self.table[0].square()).sqrt_()
        return pair * largest / ((self.high - self.low) * replicas**0.5)


def from_profile(path: Path) -> CellNoise:
    """What `rram profile noise PROFILE --age T --json` prints."""
    try:
        document = json.loads(path.read_text())
        conductance, sigma = document["conductance_uS"], document["sigma_uS"]
        name = f"{document['profile']}, {document['age_s']:g} s after writing"
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: is not what 'rram profile noise --json' prints: {error}") from error
    return CellNoise(name, np.array(conductance), np.array(sigma))


def from_measurement(path: Path, age: float) -> CellNoise:
    """Measurements of the step `relaxation` of a characterization: σ of G − target of accepted cells, linear in log age between reads."""
    with np.load(path) as file:
        try:
            target, accepted = 1e6 * file["target_S"], file["accepted"] == 1
            ages, conductance = file["age_s"], 1e6 * file["conductance_S"]
        except KeyError as error:
            raise ValueError(f"{path}: no measurements of a relaxation: {error}") from error
    if not ages[0] <= age <= ages[-1]:
        raise ValueError(f"{path}: cells were read {ages[0]:g} to {ages[-1]:g} s after writing, not at {age:g} s")
    levels, sigmas = [], []
    for level in np.unique(target):
        cells = accepted & (target == level)
        if cells.sum() < 8:
            continue
        # About the target, not about the mean: a shift is an error like any other.
        errors = np.sqrt(np.nanmean((conductance[:, cells] - level) ** 2, axis=1))
        levels.append(level)
        sigmas.append(np.interp(np.log(age), np.log(ages), errors))
    return CellNoise(f"{path.parent.name}, measured {age:g} s after writing", np.array(levels), np.array(sigmas))


def load(path: Path, age: float | None) -> CellNoise:
    if path.suffix == ".npz":
        if age is None:
            raise ValueError(f"{path}: measurements need --noise-age")
        return from_measurement(path, age)
    if age is not None:
        raise ValueError(f"{path}: --noise-age belongs to measurements (.npz); a profile's table states its own")
    return from_profile(path)
