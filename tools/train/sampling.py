"""Software sampling of the trained networks in float64: Heun, left unquantised."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

import network
from network import Parameters

LAST_TIME = 1e-4


@dataclass
class Run:
    """Samples, and the largest |x|, hidden outputs and |score| seen in the loop (units of the software network)."""

    x: Tensor
    x_peak: float = 0.0
    first_peak: float = 0.0
    second_peak: float = 0.0
    score_peak: float = 0.0


def sample(
    p: Parameters,
    count: int,
    scale: float,
    stochastic: bool,
    label: int | None = None,
    steps: int = 200,
    seed: int = 1,
    start: Tensor | None = None,
    flow: bool = False,
) -> Run:
    """Reverse diffusion from t = 1 to 1e-4 with β multiplied by `scale`; the last SDE step adds no noise. Or back along a flow."""
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 2, generator=random, dtype=torch.float64) if start is None else start
    run = Run(x)
    condition = torch.zeros(1, network.WIDTH, dtype=torch.float64)
    if label is not None:
        classes = p["conEmbed.model.0.weight"].shape[1]
        condition = network.class_embedding(p, torch.eye(classes, dtype=torch.float64)[label : label + 1])
    step = (1 - LAST_TIME) / steps
    share = 1.0 if stochastic else 0.5

    def beta(t: float) -> float:
        return scale * (network.BETA_0 + t * (network.BETA_1 - network.BETA_0))

    def slope(x: Tensor, t: float) -> Tensor:
        time = torch.tensor([t], dtype=torch.float64)
        embedding = network.time_embedding(p["embed.W"], time) + condition
        first, second, output = network.evaluate(p, x, embedding.expand(len(x), -1))
        score = network.AMPLITUDE * output
        run.x_peak = max(run.x_peak, x.abs().max().item())
        run.first_peak = max(run.first_peak, first.max().item())
        run.second_peak = max(run.second_peak, second.max().item())
        run.score_peak = max(run.score_peak, score.abs().max().item())
        if flow:
            return -score
        return 0.5 * beta(t) * x + share * beta(t) * score

    for n in range(steps):
        t = 1 - n * step
        noise: Tensor | float = 0.0
        if stochastic and n + 1 < steps:
            draw = torch.randn(count, 2, generator=random, dtype=torch.float64)
            noise = draw * math.sqrt(beta(t - step / 2) * step)
        before = slope(x, t)
        after = slope(x + step * before + noise, t - step)
        x = x + step / 2 * (before + after) + noise
    run.x = x
    return run
