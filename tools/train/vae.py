"""The convolutional VAE of the letters: a 2-D latent in which every class is a unit normal around its own mean."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

LATENT_SCALE = 8.0
CLASS_MEANS = torch.tensor([[2 * math.sqrt(3), 2.0], [-2 * math.sqrt(3), 2.0], [0.0, -4.0]])
KL_WEIGHT = 3.0


class LetterVAE(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.fc1 = nn.Linear(144, 16)
        self.fc21 = nn.Linear(16, 2)
        self.fc22 = nn.Linear(16, 2)
        self.fc3 = nn.Linear(2, 16)
        self.fc4 = nn.Linear(16, 144)
        self.deconv1 = nn.ConvTranspose2d(16, 8, 3, stride=2, padding=1, output_padding=1)
        self.deconv2 = nn.ConvTranspose2d(8, 1, 3, stride=2, padding=1, output_padding=1)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the latent."""
        hidden = self.conv2(self.conv1(images).relu()).relu().flatten(1)
        hidden = self.fc1(hidden).relu()
        return self.fc21(hidden), self.fc22(hidden)

    def logits(self, z: Tensor) -> Tensor:
        hidden = self.fc4(self.fc3(z).relu()).relu().view(-1, 16, 3, 3)
        return self.deconv2(self.deconv1(hidden).relu())

    def decode(self, z: Tensor) -> Tensor:
        """(n, 1, 12, 12) images in 0 … 1, upright."""
        return self.logits(z).sigmoid()


@dataclass(frozen=True)
class Recipe:
    seed: int
    epochs: int = 60
    batch: int = 128
    rate: float = 2e-3
    final_rate: float = 1e-4


def train(recipe: Recipe, images: Tensor, labels: Tensor) -> LetterVAE:
    """Minimise (BCE + 3·KL to the class's normal)/batch."""
    torch.manual_seed(recipe.seed)
    model = LetterVAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.rate, fused=True)
    decay = torch.optim.lr_scheduler.ExponentialLR(optimizer, (recipe.final_rate / recipe.rate) ** (1 / recipe.epochs))
    centres = CLASS_MEANS[labels]
    for _ in range(recipe.epochs):
        for pick in torch.randperm(len(images)).split(recipe.batch):
            mean, log_variance = model.encode(images[pick])
            z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
            mismatch = functional.binary_cross_entropy_with_logits(model.logits(z), images[pick], reduction="sum")
            spread = log_variance.exp() + (mean - centres[pick]) ** 2 - 1 - log_variance
            optimizer.zero_grad()
            ((mismatch + 0.5 * KL_WEIGHT * spread.sum()) / len(pick)).backward()
            optimizer.step()
        decay.step()
    return model


def diffusion_points(model: LetterVAE, images: Tensor, seed: int) -> Tensor:
    """One draw from each image's posterior, divided by 8, x and y swapped: what the letter network learns."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        mean, log_variance = model.encode(images)
        z = mean + (0.5 * log_variance).exp() * torch.randn(mean.shape, generator=random)
    return (z / LATENT_SCALE).flip(1).contiguous()
