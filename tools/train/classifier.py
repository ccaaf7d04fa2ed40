"""A small classifier of letter images, 144 → 32 → 3: the judge of decoded letters, trained on images and never on the VAE."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from network import Parameters

PIXELS, HIDDEN = 144, 32


@dataclass(frozen=True)
class Recipe:
    seed: int
    epochs: int = 30
    batch: int = 128
    rate: float = 2e-3
    final_rate: float = 1e-4
    weight_decay: float = 1e-3
    # Images are mixed with a smoothed copy: a decoder draws softer letters than a font.
    smoothing: float = 0.5


def logits(p: Parameters, images: Tensor) -> Tensor:
    hidden = functional.linear(images.flatten(1), p["fc1.weight"], p["fc1.bias"]).relu()
    return functional.linear(hidden, p["fc2.weight"], p["fc2.bias"])


def train(recipe: Recipe, images: Tensor, labels: Tensor) -> Parameters:
    """Minimise the cross entropy on (n, 1, 12, 12) images."""
    torch.manual_seed(recipe.seed)
    classes = int(labels.max()) + 1
    first, second = torch.nn.Linear(PIXELS, HIDDEN), torch.nn.Linear(HIDDEN, classes)
    p = {"fc1.weight": first.weight, "fc1.bias": first.bias, "fc2.weight": second.weight, "fc2.bias": second.bias}
    optimizer = torch.optim.AdamW(p.values(), lr=recipe.rate, weight_decay=recipe.weight_decay)
    decay = torch.optim.lr_scheduler.ExponentialLR(optimizer, (recipe.final_rate / recipe.rate) ** (1 / recipe.epochs))
    for _ in range(recipe.epochs):
        for pick in torch.randperm(len(images)).split(recipe.batch):
            sharp = images[pick]
            soft = functional.avg_pool2d(functional.pad(sharp, (1, 1, 1, 1)), 3, stride=1)
            share = recipe.smoothing * torch.rand(len(pick), 1, 1, 1)
            optimizer.zero_grad()
            functional.cross_entropy(logits(p, sharp + share * (soft - sharp)), labels[pick]).backward()
            optimizer.step()
        decay.step()
    return {k: v.detach() for k, v in p.items()}


def accuracy(p: Parameters, images: Tensor, labels: Tensor) -> float:
    return (logits(p, images).argmax(1) == labels).double().mean().item()
