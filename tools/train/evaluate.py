"""Quality of trained models against the data, in software and float64."""

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import letters
import metrics
import noise
import sampling
import vae
from files import load_safetensors
from network import Parameters
from train import RESOURCES

PROGRAMMING_ERRORS = (0.003, 0.005, 0.01, 0.02, 0.03)
CHIP_SAMPLES = 4000
COLUMNS = ("kl1d", "kl2d", "slicedWasserstein", "energyDistance", "radiusMean", "radiusStd")


def load(path: Path) -> tuple[Parameters, dict[str, str]]:
    tensors, metadata = load_safetensors(path)
    return {name: torch.from_numpy(values) for name, values in tensors.items()}, metadata


def load_vae(path: Path) -> vae.LetterVAE:
    model = vae.LetterVAE().double()
    model.load_state_dict(load(path)[0])
    return model.eval()


def report(name: str, values: dict[str, float], run: sampling.Run) -> None:
    cells = "".join(f"{values[key]:>10.5f}" for key in COLUMNS)
    peaks = (run.x_peak, run.first_peak, run.second_peak, run.score_peak)
    print(f"{name:<24}{values['n']:>7}{cells}" + "".join(f"{peak:>7.1f}" for peak in peaks))


def programmed(p: Parameters, error: float, seed: int) -> Parameters:
    """The network as one chip holds it: N(0, error of the range) on both cells of every pair, scaled per layer."""
    random = torch.Generator().manual_seed(seed)
    result = dict(p)
    for layer in (0, 2, 4):
        names = [f"linears.{layer}.{part}" for part in ("weight", "bias")]
        largest = max(p[name].abs().max().item() for name in names)
        for name in names:
            draw = torch.randn(p[name].shape, generator=random, dtype=torch.float64)
            result[name] = p[name] + math.sqrt(2) * error * largest * draw
    return result


def noisy(p: Parameters, cells: noise.CellNoise, replicas: int, seed: int) -> Parameters:
    """The network as one chip with such cells holds it, some time after writing."""
    random = torch.Generator().manual_seed(seed)
    result = dict(p)
    for layer in (0, 2, 4):
        names = [f"linears.{layer}.{part}" for part in ("weight", "bias")]
        largest = torch.stack([p[name].abs().max() for name in names]).max()
        for name in names:
            draw = torch.randn(p[name].shape, generator=random, dtype=torch.float64)
            result[name] = p[name] + cells.weight_sigma(p[name].float(), largest.float(), replicas) * draw
    return result


def ring(
    name: str, p: Parameters, scale: float, flow: bool, count: int, chips: int, data: np.ndarray,
    cells: noise.CellNoise | None, replicas: int,
) -> None:
    run = sampling.sample(p, count, scale, stochastic=False, flow=flow)
    report(name, metrics.compare(run.x.numpy(), data, *metrics.RING_GRID), run)
    if not chips:
        return

    def kl(q: Parameters) -> float:
        points = sampling.sample(q, CHIP_SAMPLES, scale, stochastic=False, flow=flow).x.numpy()
        return metrics.kl_2d(metrics.finite(points), data, *metrics.RING_GRID)

    print(f"  KL2d of {chips} chips, median/90th:  none {kl(p):.2f}", end="")
    if cells:
        values = [kl(noisy(p, cells, replicas, 100 + chip)) for chip in range(chips)]
        pairs = "1 pair" if replicas == 1 else f"{replicas} pairs"
        print(f"  {cells.name}, {pairs} a weight {np.median(values):.2f}/{np.percentile(values, 90):.2f}")
        return
    for error in PROGRAMMING_ERRORS:
        values = [kl(programmed(p, error, 100 + chip)) for chip in range(chips)]
        print(f"  {error:.1%} {np.median(values):.2f}/{np.percentile(values, 90):.2f}", end="", flush=True)
    print()


def picture(images: Tensor, path: Path) -> None:
    """One row a class, 24 letters each, ink black."""
    rows = images.view(len(letters.CLASSES), -1, letters.SIDE, letters.SIDE).permute(0, 2, 1, 3)
    pixels = 255 - (255 * rows.reshape(len(letters.CLASSES) * letters.SIDE, -1)).round()
    drawing = Image.fromarray(pixels.numpy().astype(np.uint8))
    drawing.resize((drawing.width * 4, drawing.height * 4), Image.Resampling.NEAREST).save(path)


def letter_classes(
    name: str, folder: Path, p: Parameters, scale: float, flow: bool, count: int, pictures: Path | None
) -> None:
    model = load_vae(folder / "models/letters-vae.safetensors")
    with np.load(folder / "data/letters-latents.npz") as file:
        data, labels = file["x"], file["label"]
    shown = []
    for label, letter in enumerate(letters.CLASSES):
        run = sampling.sample(p, count, scale, stochastic=not flow, label=label, flow=flow)
        points = data[labels == label]
        report(f"{name} {letter}", metrics.compare(run.x.numpy(), points, *metrics.LETTER_GRID), run)
        with torch.no_grad():
            decoded = model.decode(vae.LATENT_SCALE * run.x.flip(1))
            means = vae.CLASS_MEANS.double()
            share = (torch.cdist(model.encode(decoded)[0], means).argmin(1) == label).double().mean().item()
        print(f"  decoded, encoded again, nearest to the mean of {letter}: {share:.2%}")
        shown.append(decoded[:24])
    if pictures:
        picture(torch.cat(shown), pictures / f"{name}.png")


def main() -> None:
    parser = argparse.ArgumentParser(prog="train evaluate", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=RESOURCES, help="holds models/ and data/ (the package)")
    parser.add_argument("-n", type=int, default=50_000, help="ring samples; letters draw 20 000 a class at most")
    parser.add_argument("--chips", type=int, default=0, help="ring networks: also on this many chips with errors")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="writes a grid of decoded letters here")
    parser.add_argument("--noise", type=Path, metavar="FILE", help="chips have the cells of this file, as in training; needs --chips")
    parser.add_argument("--noise-age", type=float, metavar="SECONDS", help="age of the cells, with measurements")
    parser.add_argument("--replicas", type=int, default=1, help="row replicas of every pair")
    options = parser.parse_args()
    if options.noise and not options.chips:
        parser.error("--noise needs --chips")
    try:
        cells = noise.load(options.noise, options.noise_age) if options.noise else None
    except (OSError, ValueError) as error:
        parser.error(f"--noise: {error}")
    torch.set_num_threads(1)
    reference = np.load(RESOURCES / "data/ring-reference.npy")
    heads = "".join(f"{head:>10}" for head in ("KL1d", "KL2d", "SWD", "energy", "radius", "± std"))
    print(f"{'':<24}{'n':>7}{heads}" + "".join(f"{head:>7}" for head in ("x", "h1", "h2", "score")))
    for path in sorted((options.folder / "models").glob("*.safetensors")):
        p, metadata = load(path)
        scale, flow = float(metadata.get("rram.scale", "0")), metadata.get("rram.sde") == "flow"
        if metadata.get("rram.data") == "ring":
            ring(path.stem, p, scale, flow, options.n, options.chips, reference, cells, options.replicas)
        elif metadata.get("rram.data") == "letters":
            letter_classes(path.stem, options.folder, p, scale, flow, min(options.n, 20_000), options.pictures)


if __name__ == "__main__":
    main()
