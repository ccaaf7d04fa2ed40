"""A digital twin of a driven circuit: a neural ODE fitted to records of an injection-locked van der Pol oscillator."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

import network
from network import Parameters

# The circuit: L (with its winding) and C in parallel with a nonlinear conductance i = −G1·v + G3·v³, driven by a current.
INDUCTANCE, WINDING, CAPACITANCE = 10e-3, 12.0, 100e-9
G1, G3 = 1.6e-3, 2.1e-3
DRIVE, FREQUENCY = 1.4e-3, 6e3
PERIODS = 4
DURATION = PERIODS / FREQUENCY
# One unit of the network: capacitor voltage, inductor current.
UNITS = np.array([0.5, 1.6e-3])
# Start points: uniform in a disc of this radius, in units. What is measured carries this noise.
START_RADIUS, MEASUREMENT_NOISE = 2.0, 0.002
FRAMES, SUBSTEPS = 200, 50
# The loop runs t from 1 to this.
LAST_TIME = 1e-4
# The hidden layers' embedding: the drive's sine and cosine for ten nodes, 0 and 1 for the other four.
FREQUENCIES = [float(PERIODS)] * 5 + [0.0] * 2


@dataclass(frozen=True)
class Recipe:
    seed: int
    # Roll-outs of so many frames, for so many steps, from one learning rate to another.
    stages: tuple[tuple[int, int, float, float], ...]
    amplitude: float = 15.0
    batch: int = 256
    trajectories: int = 512
    additive_noise: float = 0.015
    range_penalty: float = 1e-5
    clip_norm: float = 1.0


def slope(x: np.ndarray, seconds: float) -> np.ndarray:
    """d/dt of capacitor voltage and inductor current, Kirchhoff's laws."""
    v, i = x[..., 0], x[..., 1]
    drive = DRIVE * math.cos(2 * math.pi * FREQUENCY * seconds)
    return np.stack([(drive + G1 * v - G3 * v**3 - i) / CAPACITANCE, (v - WINDING * i) / INDUCTANCE], -1)


def records(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times in seconds (frames), start points as measured (n, 2), and trajectories (n, frames, 2), both in units: RK4, float64."""
    random = np.random.default_rng(seed)
    radius, angle = START_RADIUS * np.sqrt(random.random(count)), 2 * np.pi * random.random(count)
    x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1) * UNITS
    times = np.linspace(0, DURATION * (1 - LAST_TIME), FRAMES + 1)
    step = times[1] / SUBSTEPS
    kept = [x]
    for n in range(FRAMES * SUBSTEPS):
        t = n * step
        a = slope(x, t)
        b = slope(x + step / 2 * a, t + step / 2)
        c = slope(x + step / 2 * b, t + step / 2)
        x = x + step / 6 * (a + 2 * b + 2 * c + slope(x + step * c, t + step))
        if (n + 1) % SUBSTEPS == 0:
            kept.append(x)
    trajectories = np.stack(kept, 1) / UNITS
    measured = trajectories[:, 0] + MEASUREMENT_NOISE * random.standard_normal((count, 2))
    return times, measured, trajectories


def roll_out(p: Parameters, x: Tensor, first: Tensor, frames: int, amplitude: float) -> tuple[Tensor, Tensor]:
    """RK4 over two frames a step, from frame `first` of each sample on: (frames / 2, n, 2), and the excess of hidden outputs over 2.5.

    Of fourth order, so that the network learns the circuit and not the error of a solver that the analog loop does not have.
    """
    frame = (1 - LAST_TIME) / FRAMES
    step = 2 * frame
    excess = torch.zeros((), dtype=x.dtype)

    def velocity(x: Tensor, embedding: Tensor) -> Tensor:
        nonlocal excess
        one, two, output = network.evaluate(p, x, embedding)
        excess = excess + (one - 2.5).relu().mean() + (two - 2.5).relu().mean()
        return amplitude * output

    times = 1 - frame * (first[:, None] + torch.arange(frames + 1))
    embeddings = network.time_embedding(p["embed.W"], times).unbind(1)
    points = []
    for n in range(0, frames, 2):
        a = velocity(x, embeddings[n])
        b = velocity(x + step / 2 * a, embeddings[n + 1])
        c = velocity(x + step / 2 * b, embeddings[n + 1])
        d = velocity(x + step * c, embeddings[n + 2])
        x = x + step / 6 * (a + 2 * b + 2 * c + d)
        points.append(x)
    return torch.stack(points), excess / frames


def train(recipe: Recipe) -> Parameters:
    random = torch.Generator().manual_seed(recipe.seed)
    _, _, truth = records(recipe.trajectories, recipe.seed)
    noise = np.random.default_rng(recipe.seed + 1).standard_normal(truth.shape)
    data = torch.from_numpy(truth + MEASUREMENT_NOISE * noise).float()
    p = {name: value.requires_grad_() for name, value in network.initial(0, random).items()}
    frequencies = torch.tensor(FREQUENCIES)
    for frames, steps, rate, last in recipe.stages:
        optimizer = torch.optim.Adam(p.values(), lr=rate)
        decay = torch.optim.lr_scheduler.ExponentialLR(optimizer, (last / rate) ** (1 / steps))
        for step in range(steps):
            pick = torch.randint(len(data), (recipe.batch,), generator=random)
            first = torch.randint(FRAMES - frames + 1, (recipe.batch,), generator=random)
            span = first[:, None] + torch.arange(frames + 1)
            target = data[pick[:, None], span].transpose(0, 1)
            noisy = {"embed.W": frequencies}
            for layer in ("linears.0", "linears.2", "linears.4"):
                names = [f"{layer}.weight", f"{layer}.bias"]
                largest = max(p[name].detach().abs().max().item() for name in names)
                for name in names:
                    draw = torch.randn(p[name].shape, generator=random)
                    noisy[name] = p[name] + recipe.additive_noise * largest * draw
            points, excess = roll_out(noisy, target[0], first, frames, recipe.amplitude)
            # Short roll-outs deviate in proportion to their length: the loss stays that of the velocity.
            error = (points - target[2::2]).square().mean() * (FRAMES / frames) ** 2 / 100
            optimizer.zero_grad()
            (error + recipe.range_penalty * excess).backward()
            torch.nn.utils.clip_grad_norm_(p.values(), recipe.clip_norm)
            optimizer.step()
            decay.step()
    return {"embed.W": frequencies, **{name: value.detach() for name, value in p.items()}}


def prediction_error(p: Parameters, amplitude: float, measured: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Rms error at every second frame over the trajectories, in standard deviations of each coordinate."""
    p = {name: value.double() for name, value in p.items()}
    with torch.no_grad():
        start = torch.from_numpy(measured)
        points, _ = roll_out(p, start, torch.zeros(len(start)).double(), FRAMES, amplitude)
    predicted = np.concatenate([measured[:, None], points.numpy().transpose(1, 0, 2)], 1)
    deviation = truth.std((0, 1))
    return np.sqrt((((predicted - truth[:, ::2]) / deviation) ** 2).mean((0, 2)))
