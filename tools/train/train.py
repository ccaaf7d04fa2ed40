"""Train the shipped networks: rings, letters, the letters' VAE, the classifier that judges them, and a circuit's twin."""

import argparse
import hashlib
import math
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import classifier
import letters
import network
import noise
import score
import twin
import vae
from files import save_safetensors
from network import Parameters

RESOURCES = Path(__file__).resolve().parents[2] / "Sources/RRAMModel/Resources"
RING_RADIUS, RING_SPREAD, RING_POINTS, RING_SEED = 0.7, 0.04, 10_000, 0
LETTER_SEED, CLASSIFIER_SEED, CLASSIFIER_TEST_SEED = 0, 1, 2
RECIPES = {
    "ring": score.Recipe(
        seed=2,
        steps=200_000,
        rate=2e-3,
        final_rate=5e-5,
        weight_decay=3e-5,
        range_penalty=1e-7,
        relative_noise=0.1,
        additive_noise=0.015,
    ),
    "ring-hardware-aware": score.Recipe(
        seed=0,
        steps=200_000,
        rate=1e-3,
        final_rate=1e-4,
        weight_decay=0.0,
        range_penalty=1e-7,
        additive_noise=0.02,
        weight_bound=1.0,
    ),
    "letters": score.Recipe(
        seed=0,
        steps=70_000,
        rate=5e-4,
        final_rate=1e-4,
        weight_decay=1e-4,
        range_penalty=3e-6,
        relative_noise=0.1,
    ),
    "ring-flow": score.Recipe(
        seed=1,
        steps=300_000,
        rate=4e-3,
        final_rate=5e-5,
        weight_decay=3e-5,
        range_penalty=1e-7,
        additive_noise=0.005,
        flow=True,
        time_power=2.0,
    ),
    "letters-flow": score.Recipe(
        seed=0,
        steps=100_000,
        rate=1e-3,
        final_rate=5e-5,
        weight_decay=3e-5,
        range_penalty=1e-6,
        relative_noise=0.1,
        flow=True,
    ),
}
TWIN_RECIPE = twin.Recipe(
    seed=0, stages=((4, 16_000, 5e-3, 5e-4), (40, 600, 1e-3, 3e-4), (200, 80, 3e-4, 1e-4))
)
TWIN_REFERENCE_SEED, TWIN_REFERENCE_COUNT = 1000, 64
VAE_RECIPE = vae.Recipe(seed=0)
# The VAE comes before the network that learns its latents.
MODELS = (
    "ring",
    "ring-hardware-aware",
    "ring-flow",
    "letters-vae",
    "letters",
    "letters-flow",
    "letters-classifier",
    "twin",
)


def ring_points() -> Tensor:
    """Angle uniform, radius N(0.7, 0.04)."""
    random = torch.Generator().manual_seed(RING_SEED)
    radius = RING_RADIUS + RING_SPREAD * torch.randn(RING_POINTS, generator=random)
    angle = 2 * math.pi * torch.rand(RING_POINTS, generator=random)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], 1)


def missing_fonts() -> list[str]:
    query = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Abbrev}\n", *letters.FONT_PACKAGES]
    listing = subprocess.run(query, capture_output=True, text=True).stdout.split("\n")
    present = {line.split()[0] for line in listing if line.endswith("ii ")}
    return [package for package in letters.FONT_PACKAGES if package not in present]


def save_network(path: Path, parameters: Parameters, recipe: score.Recipe, extra: dict[str, str]) -> None:
    process = {"rram.sde": "vp", "rram.beta0": str(network.BETA_0), "rram.beta1": str(network.BETA_1)}
    if recipe.flow:
        process = {"rram.sde": "flow"}
    metadata = process | {
        "rram.amplitude": f"{network.AMPLITUDE:g}",
        "rram.provenance": f"tools/train {path.stem}, seed {recipe.seed}",
    }
    if recipe.cell_noise:
        metadata["rram.trainingNoise"] = f"{recipe.cell_noise.name}, {recipe.replicas} pairs a weight"
    save_safetensors(path, {k: v.numpy() for k, v in parameters.items()}, metadata | extra)


def train_ring(name: str, recipe: score.Recipe, models: Path) -> None:
    points = ring_points()
    partners = score.radial_partners(points) if recipe.flow else None
    parameters = score.train(recipe, points, partners=partners)
    extra = {"rram.solver": "ode", "rram.data": "ring"}
    if not recipe.flow:
        extra["rram.scale"] = "2"
    save_network(models / f"{name}.safetensors", parameters, recipe, extra)


def train_vae(models: Path, latents: Path, emnist: Path | None) -> None:
    images, labels = letters.emnist(emnist, LETTER_SEED) if emnist else letters.drawn(LETTER_SEED)
    model = vae.train(VAE_RECIPE, images, labels)
    metadata = {
        "rram.kind": "vae-decoder",
        "rram.latentScale": f"{vae.LATENT_SCALE:g}",
        "rram.latentSwapped": "true",
        "rram.classes": ",".join(letters.CLASSES),
        "rram.provenance": f"tools/train letters-vae, {'EMNIST' if emnist else 'free fonts'}, seed {VAE_RECIPE.seed}",
    }
    tensors = {k: v.numpy() for k, v in model.state_dict().items()}
    save_safetensors(models / "letters-vae.safetensors", tensors, metadata)
    points = vae.diffusion_points(model, images, VAE_RECIPE.seed)
    np.savez_compressed(latents, x=points.numpy(), label=labels.numpy())


def train_letters(name: str, recipe: score.Recipe, models: Path, latents: Path) -> None:
    if not latents.exists():
        sys.exit(f"error: no {latents}: the letter network learns the latents of letters-vae, so train that too")
    with np.load(latents) as data:
        points, labels = torch.from_numpy(data["x"]), torch.from_numpy(data["label"])
    parameters = score.train(recipe, points, labels, len(letters.CLASSES))
    extra = {
        "rram.solver": "ode" if recipe.flow else "sde",
        "rram.data": "letters",
        "rram.classes": ",".join(letters.CLASSES),
        "rram.decoder": "letters-vae",
    }
    if not recipe.flow:
        extra["rram.scale"] = "1.5"
    save_network(models / f"{name}.safetensors", parameters, recipe, extra)


def train_classifier(models: Path) -> None:
    """Images of its own, never the VAE's: it judges what the VAE decodes."""
    recipe = classifier.Recipe(seed=0)
    parameters = classifier.train(recipe, *letters.drawn(CLASSIFIER_SEED))
    accuracy = classifier.accuracy(parameters, *letters.drawn(CLASSIFIER_TEST_SEED))
    print(f"letters-classifier: {100 * accuracy:.2f} % of 12 000 images it has not seen", file=sys.stderr)
    metadata = {
        "rram.kind": "image-classifier",
        "rram.classes": ",".join(letters.CLASSES),
        "rram.provenance": f"tools/train letters-classifier, free fonts, seed {recipe.seed}",
    }
    save_safetensors(
        models / "letters-classifier.safetensors", {k: v.numpy() for k, v in parameters.items()}, metadata
    )


def save_twin(models: Path, data: Path, parameters: Parameters) -> None:
    """The network, and the reference: trajectories of a seed of their own, from start points with the noise of a measurement."""
    reference = data / "twin-reference.npz"
    times, measured, truth = twin.records(TWIN_REFERENCE_COUNT, TWIN_REFERENCE_SEED)
    np.savez(reference, time=times, x0=measured.astype("<f4"), x=truth.astype("<f4"))
    metadata = {
        "rram.sde": "neural-ode",
        "rram.solver": "ode",
        "rram.data": "twin",
        "rram.dataSHA256": hashlib.sha256(reference.read_bytes()).hexdigest(),
        "rram.amplitude": f"{TWIN_RECIPE.amplitude:g}",
        "rram.duration": f"{twin.DURATION:.9g}",
        "rram.voltsPerUnit": f"{twin.UNITS[0]:g}",
        "rram.amperesPerUnit": f"{twin.UNITS[1]:g}",
        "rram.driveAmperes": f"{twin.DRIVE:g}",
        "rram.driveHertz": f"{twin.FREQUENCY:g}",
        "rram.provenance": f"tools/train twin, seed {TWIN_RECIPE.seed}",
    }
    save_safetensors(models / "twin.safetensors", {k: v.numpy() for k, v in parameters.items()}, metadata)
    error = twin.prediction_error(parameters, TWIN_RECIPE.amplitude, measured, truth)
    print(f"twin: rms error {np.sqrt((error**2).mean()):.3f} standard deviations over the run", file=sys.stderr)


def write_sums(folder: Path) -> None:
    """SHA256SUMS as `sha256sum --check` reads it."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (".safetensors", ".npy", ".npz"))
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (folder / "SHA256SUMS").write_text("".join(lines))


def main() -> None:
    after = "train evaluate [--help]: the quality of what was trained"
    parser = argparse.ArgumentParser(prog="train", description=__doc__, epilog=after)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"any of {', '.join(MODELS)}; none: all")
    parser.add_argument("--output", type=Path, default=RESOURCES, help="writes models/ and data/ here (the package)")
    parser.add_argument("--emnist", type=Path, metavar="DIR", help="folder of the EMNIST by-class training files")
    parser.add_argument("--noise", type=Path, metavar="FILE", help="train score networks for the cells of a chip: what 'rram profile "
                        "noise PROFILE --age 600s --json' prints, or NN-relaxation.npz of a characterization")
    parser.add_argument("--noise-age", type=float, metavar="SECONDS", help="age of the cells, with measurements")
    parser.add_argument("--replicas", type=int, default=1, help="row replicas of every pair that the noise is averaged over")
    parser.add_argument("--steps", type=int, help="steps of score networks, instead of the recipe's")
    options = parser.parse_args()
    wanted = options.models or list(MODELS)
    if unknown := sorted(set(wanted) - set(MODELS)):
        parser.error(f"no model {', '.join(unknown)}; choose from {', '.join(MODELS)}")
    if options.emnist and not any(options.emnist.glob("emnist-byclass-train-images-idx3-ubyte*")):
        parser.error(f"no emnist-byclass-train-images-idx3-ubyte in {options.emnist}")
    changes = {}
    if options.noise:
        if options.output.resolve() == RESOURCES.resolve():
            parser.error("--noise: a network for one chip does not belong among the shipped ones; name another --output")
        if others := sorted(set(wanted) - set(RECIPES)):
            parser.error(f"--noise does not apply to {', '.join(others)}")
        if options.replicas < 1:
            parser.error(f"--replicas {options.replicas}: 1 or more")
        try:
            changes["cell_noise"] = noise.load(options.noise, options.noise_age)
        except (OSError, ValueError) as error:
            parser.error(f"--noise: {error}")
        changes["replicas"] = options.replicas
    elif options.noise_age is not None or options.replicas != 1:
        parser.error("--noise-age and --replicas belong to --noise")
    if options.steps is not None:
        if options.steps < 1:
            parser.error(f"--steps {options.steps}: 1 or more")
        changes["steps"] = options.steps
    recipes = {name: replace(recipe, **changes) for name, recipe in RECIPES.items()}
    needs_fonts = "letters-classifier" in wanted or ("letters-vae" in wanted and not options.emnist)
    if needs_fonts and (missing := missing_fonts()):
        print("error: fonts to draw the letters from are missing; install them with", file=sys.stderr)
        print(f"apt-get install -y --no-install-recommends {' '.join(missing)}", file=sys.stderr)
        sys.exit(77)

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    models, data = options.output / "models", options.output / "data"
    for folder in (models, data):
        folder.mkdir(parents=True, exist_ok=True)
    latents = data / "letters-latents.npz"
    for name in (model for model in MODELS if model in wanted):
        start = time.process_time()
        if name == "letters-vae":
            train_vae(models, latents, options.emnist)
        elif name == "letters-classifier":
            train_classifier(models)
        elif name == "twin":
            save_twin(models, data, twin.train(TWIN_RECIPE))
        elif name.startswith("letters"):
            train_letters(name, recipes[name], models, latents)
        else:
            train_ring(name, recipes[name], models)
        print(f"{name}: {time.process_time() - start:.0f} CPU s", file=sys.stderr)
    for folder in (models, data):
        write_sums(folder)


if __name__ == "__main__":
    main()
