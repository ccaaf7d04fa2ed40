"""Denoising score matching and flow matching on a CPU: one flat parameter vector, randomness for a thousand steps at a time."""

from dataclasses import dataclass

import torch
from torch import Tensor

import network
from network import Parameters
from noise import CellNoise

CHUNK = 1000
SMALLEST_TIME = 1e-5
CLIP_NORM = 0.1
LINEAR_RANGE = 1.5


@dataclass(frozen=True)
class Recipe:
    """What differs between the networks; the rest is common."""

    seed: int
    steps: int
    weight_decay: float
    range_penalty: float
    rate: float = 2e-4
    final_rate: float = 2e-4
    batch: int = 512
    relative_noise: float = 0.0
    additive_noise: float = 0.0
    # Instead of the additive noise: what the cells of a chip do, with so many row replicas of each pair.
    cell_noise: CellNoise | None = None
    replicas: int = 1
    weight_bound: float | None = None
    drop_class: float = 0.1
    # Flow matching: the network learns z − x₀ on the straight path between data x₀ and noise z.
    flow: bool = False
    # t = u^power with u uniform: above 1 more of the training looks at small t, where a flow is steepest.
    time_power: float = 1.0


def weight_noise(recipe: Recipe, count: int, sizes: list[int], random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Factors on every parameter of the array, and unit draws to be scaled by each layer's largest weight."""
    shape = (count, sum(sizes))
    relative = recipe.relative_noise * torch.randn(shape, generator=random)
    bound = 2 * recipe.relative_noise
    uniform = bound * (2 * torch.rand(shape, generator=random) - 1)
    relative = torch.where(relative.abs() > bound, uniform, relative)
    scale = recipe.additive_noise if recipe.cell_noise is None else 1.0
    return 1 + relative, scale * torch.randn(shape, generator=random)


def radial_partners(points: Tensor) -> Tensor:
    """The noise nearest to each point of a ring: same angle, and of the radius the same quantile.

    Of a rotationally symmetric distribution this is the optimal transport to N(0, I), whose radius has the quantiles √(−2 ln(1 − q)).
    """
    radius = points.norm(dim=1)
    quantile = (radius.argsort().argsort() + 0.5) / len(points)
    return points / radius[:, None] * (-2 * torch.log1p(-quantile)).sqrt()[:, None]


def train(
    recipe: Recipe,
    points: Tensor,
    labels: Tensor | None = None,
    classes: int = 0,
    partners: Tensor | None = None,
) -> Parameters:
    """Train on (n, 2) points; returns the `state_dict`, the fixed frequencies included.

    `partners` are the noise that a flow leads each point to; without them every pair is drawn independently.
    """
    random = torch.Generator().manual_seed(recipe.seed)
    frequencies = torch.randn(network.WIDTH // 2, generator=random)
    start = network.initial(classes, random)
    names, sizes = list(start), [v.numel() for v in start.values()]
    on_array = sum(name.startswith("linears") for name in names)
    weights = torch.cat([v.flatten() for v in start.values()]).requires_grad_()
    mean, square = torch.zeros_like(weights), torch.zeros_like(weights)
    one_hot = torch.eye(classes)[labels] if labels is not None else torch.zeros(len(points), 0)
    order = torch.empty(0, dtype=torch.long)

    def named(flat: Tensor) -> Parameters:
        return {n: v.view_as(start[n]) for n, v in zip(names, flat.split(sizes), strict=True)}

    for step in range(recipe.steps):
        i = step % CHUNK
        if i == 0:
            drawn = CHUNK * recipe.batch
            while len(order) < drawn:
                order = torch.cat([order, torch.randperm(len(points), generator=random)])
            pick, order = order[:drawn], order[drawn:]
            t = SMALLEST_TIME + (1 - SMALLEST_TIME) * torch.rand(drawn, generator=random) ** recipe.time_power
            z = torch.randn(drawn, 2, generator=random) if partners is None else partners[pick]
            kept = (torch.rand(drawn, 1, generator=random) >= recipe.drop_class).float()
            embedded = network.time_embedding(frequencies, t)
            if recipe.flow:
                noised = (1 - t[:, None]) * points[pick] + t[:, None] * z
                # The loss below is that of scale · output + z.
                scale, z = torch.full((drawn, 1), network.AMPLITUDE), points[pick] - z
            else:
                factor, std = (v[:, None] for v in network.marginal(t))
                noised, scale = factor * points[pick] + std * z, network.AMPLITUDE * std
            parts = (noised, embedded, scale, z, one_hot[pick] * kept)
            batches = [v.view(CHUNK, recipe.batch, -1) for v in parts]
            factors, additions = weight_noise(recipe, CHUNK, sizes[:on_array], random)
        x, embedding, scale, z_i, hot = (v[i] for v in batches)

        array, rest = weights.split([factors.shape[1], len(weights) - factors.shape[1]])
        array = array * factors[i]
        if recipe.additive_noise or recipe.cell_noise:
            # Weight and bias of a layer share the scale of the layer's largest weight, as on the chip.
            held = [v.detach() for v in weights.split(sizes)[:on_array]]
            largest = [v.abs().max() for v in held[::2]]
            spread = [v for v in largest for _ in (0, 1)]
            if recipe.cell_noise:
                layers = [flat.flatten() for flat in held]
                spread = [recipe.cell_noise.weight_sigma(w, m, recipe.replicas) for w, m in zip(layers, spread, strict=True)]
            noise = zip(additions[i].split(sizes[:on_array]), spread, strict=True)
            array = array + torch.cat([n * s for n, s in noise])
        p = named(torch.cat([array, rest]))
        if classes:
            # Every point is one of a few classes: embed the classes, then select; a dropped class embeds as zero.
            embedding = torch.addmm(embedding, hot, network.class_embedding(p, torch.eye(classes)))
        first, second, output = network.evaluate(p, x, embedding)
        loss = torch.addcmul(z_i, output, scale).square().mean()
        excess = (first - LINEAR_RANGE).relu().sum() + (second - LINEAR_RANGE).relu().sum()
        (gradient,) = torch.autograd.grad(loss + recipe.range_penalty * excess, weights)

        with torch.no_grad():
            gradient.mul_((CLIP_NORM / gradient.norm()).clamp_(max=1.0)).add_(weights, alpha=recipe.weight_decay)
            mean.lerp_(gradient, 0.1)
            square.lerp_(gradient.square(), 0.001)
            rate = recipe.rate * (recipe.final_rate / recipe.rate) ** (step / recipe.steps)
            unbiased = square.div(1 - 0.999 ** (step + 1)).sqrt_().add_(1e-8)
            weights.addcdiv_(mean, unbiased, value=-rate / (1 - 0.9 ** (step + 1)))
            if recipe.weight_bound is not None:
                weights.clamp_(-recipe.weight_bound, recipe.weight_bound)
    return {"embed.W": frequencies, **named(weights.detach())}
