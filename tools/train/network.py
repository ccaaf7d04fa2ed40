"""The score network and its diffusion: 2 → 14 → 14 → 2, ReLU, one embedding for both hidden layers."""

import math

import torch
from torch import Tensor
from torch.nn import functional

WIDTH = 14
AMPLITUDE = 5.0
BETA_0, BETA_1 = 0.001, 0.5
Parameters = dict[str, Tensor]


def shapes(classes: int) -> dict[str, tuple[int, ...]]:
    """Trained tensors in `state_dict` order: first what sits on the array, then the class embedding."""
    result: dict[str, tuple[int, ...]] = {}
    layers = [("linears.0", WIDTH, 2), ("linears.2", WIDTH, WIDTH), ("linears.4", 2, WIDTH)]
    if classes:
        layers += [("conEmbed.model.0", WIDTH, classes), ("conEmbed.model.2", WIDTH, WIDTH)]
    for name, outputs, inputs in layers:
        result[f"{name}.weight"] = (outputs, inputs)
        result[f"{name}.bias"] = (outputs,)
    return result


def initial(classes: int, random: torch.Generator) -> Parameters:
    """Uniform in ±1/√inputs, as `torch.nn.Linear` starts."""
    result: Parameters = {}
    bound = 1.0
    for name, shape in shapes(classes).items():
        if name.endswith("weight"):
            bound = 1 / math.sqrt(shape[1])
        result[name] = (2 * torch.rand(shape, generator=random) - 1) * bound
    return result


def time_embedding(frequencies: Tensor, t: Tensor) -> Tensor:
    """[sin(2πWt), cos(2πWt)], shape (…, 14)."""
    phase = 2 * math.pi * t[..., None] * frequencies
    return torch.cat([phase.sin(), phase.cos()], -1)


def class_embedding(p: Parameters, one_hot: Tensor) -> Tensor:
    hidden = functional.gelu(functional.linear(one_hot, p["conEmbed.model.0.weight"], p["conEmbed.model.0.bias"]))
    return functional.linear(hidden, p["conEmbed.model.2.weight"], p["conEmbed.model.2.bias"])


def evaluate(p: Parameters, x: Tensor, embedding: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Both hidden pre-activations and the output; the score is the output × AMPLITUDE."""
    first = torch.addmm(embedding + p["linears.0.bias"], x, p["linears.0.weight"].T)
    second = torch.addmm(embedding + p["linears.2.bias"], first.relu(), p["linears.2.weight"].T)
    return first, second, torch.addmm(p["linears.4.bias"], second.relu(), p["linears.4.weight"].T)


def marginal(t: Tensor) -> tuple[Tensor, Tensor]:
    """Mean factor and standard deviation of x(t) given x(0): variance preserving, β linear in t."""
    integral = BETA_0 * t + 0.5 * (BETA_1 - BETA_0) * t * t
    return torch.exp(-0.5 * integral), torch.sqrt(-torch.expm1(-integral))
