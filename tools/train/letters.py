"""Images of H, K and U, 12 × 12, ink = 1: drawn from free fonts, or cut from EMNIST where the user has it."""

import gzip
import subprocess
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional

CLASSES = "HKU"
EMNIST_LABELS = (17, 20, 30)
PER_CLASS = 4000
SIDE = 12
CANVAS = 96
FONT_PACKAGES = (Path(__file__).parent / "fonts.txt").read_text().split()


def font_files() -> list[Path]:
    """Fonts of the listed packages only: other fonts on the machine must not change the training data."""
    listing = subprocess.run(["dpkg", "-L", *FONT_PACKAGES], capture_output=True, text=True, check=True).stdout
    return [Path(line) for line in sorted(set(listing.split("\n"))) if line.endswith((".ttf", ".otf"))]


def glyph(font: ImageFont.FreeTypeFont, letter: str) -> Tensor | None:
    """The letter, its longer side 64 pixels, centred on the canvas; None if the font does not draw it."""
    left, top, right, bottom = (int(v) for v in font.getbbox(letter))
    if right - left < 8 or bottom - top < 8:
        return None
    drawn = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(drawn).text((-left, -top), letter, fill=255, font=font)
    zoom = 64 / max(drawn.size)
    drawn = drawn.resize((max(1, round(drawn.width * zoom)), max(1, round(drawn.height * zoom))))
    canvas = Image.new("L", (CANVAS, CANVAS))
    canvas.paste(drawn, ((CANVAS - drawn.width) // 2, (CANVAS - drawn.height) // 2))
    image = torch.from_numpy(np.array(canvas, np.float32) / 255)
    return image if 0.03 < image.mean() < 0.4 else None


def distort(images: Tensor, random: torch.Generator) -> Tensor:
    """Random rotation, shear, aspect, size, shift and a smooth displacement field; then area means down to 12 × 12."""
    n = len(images)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=random)

    angle, shear, aspect = uniform(-0.15, 0.15), uniform(-0.15, 0.15), uniform(0.85, 1.2)
    # The letter fills 64/96 of the canvas, and 9 to 11 of the 12 pixels of the image.
    zoom = uniform(0.75, 0.9)
    c, s = angle.cos(), angle.sin()
    x_row = torch.stack([c * zoom * aspect, (shear * c - s) * zoom, uniform(-0.08, 0.08)], 1)
    y_row = torch.stack([s * zoom * aspect, (shear * s + c) * zoom, uniform(-0.08, 0.08)], 1)
    grid = functional.affine_grid(torch.stack([x_row, y_row], 1), [n, 1, CANVAS, CANVAS], align_corners=False)
    coarse = 0.035 * torch.randn(n, 2, 4, 4, generator=random)
    field = functional.interpolate(coarse, (CANVAS, CANVAS), mode="bicubic", align_corners=True)
    warped = functional.grid_sample(images[:, None], grid + field.permute(0, 2, 3, 1), align_corners=False)
    return functional.avg_pool2d(warped, CANVAS // SIDE).clamp_(0, 1)


def drawn(seed: int) -> tuple[Tensor, Tensor]:
    """(12000, 1, 12, 12) images and labels 0, 1, 2 = H, K, U."""
    random = torch.Generator().manual_seed(seed)
    fonts = [ImageFont.truetype(str(path), 80) for path in font_files()]
    images = []
    for letter in CLASSES:
        glyphs = torch.stack([image for font in fonts if (image := glyph(font, letter)) is not None])
        for _ in range(0, PER_CLASS, 500):
            pick = torch.randint(len(glyphs), (500,), generator=random)
            images.append(distort(glyphs[pick], random))
    return torch.cat(images), torch.arange(len(CLASSES)).repeat_interleave(PER_CLASS)


def emnist(folder: Path, seed: int) -> tuple[Tensor, Tensor]:
    """The same from EMNIST by class: 28 → 14 by area means, the middle 12 × 12, turned upright."""

    def values(kind: str, header: int) -> np.ndarray:
        path = folder / f"emnist-byclass-train-{kind}-ubyte"
        blob = path.read_bytes() if path.exists() else gzip.decompress(path.with_name(path.name + ".gz").read_bytes())
        return np.frombuffer(blob, np.uint8, offset=header)

    labels = torch.from_numpy(values("labels-idx1", 8).copy())
    scans = torch.from_numpy(values("images-idx3", 16).copy()).view(-1, 1, 28, 28)
    random = torch.Generator().manual_seed(seed)
    images = []
    for label in EMNIST_LABELS:
        found = (labels == label).nonzero()[:, 0]
        rounds = -(-PER_CLASS // len(found))
        order = torch.cat([torch.randperm(len(found), generator=random) for _ in range(rounds)])
        images.append(scans[found[order[:PER_CLASS]]].float() / 255)
    upright = torch.cat(images).transpose(2, 3)
    return functional.avg_pool2d(upright, 2)[:, :, 1:-1, 1:-1].contiguous(), torch.arange(
        len(CLASSES)
    ).repeat_interleave(PER_CLASS)
