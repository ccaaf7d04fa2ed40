#!/usr/bin/env python3
"""How often the 95 % intervals of a characterization hold the truth, over emulated chips whose parameters vary with the seed.

Usage: tools/bench/coverage.py [--profiles hfox-mlc,hfox-analog] [--seeds 100] [--first 1] [--keep DIR] [--refit] [--rram PATH]
Of every seed: a die of its own, and a profile whose fitted parameters are drawn around the named one's (PARAMETERS below). The chip runs
the steps of `full` that a profile is fitted to, as `full` has them, and `rram profile fit --base NAME` gets the profile as it is published,
never the drawn one: truth is the drawn number, and what is not drawn is known. Rows, one a coefficient and seed, go to coverage.tsv beside
this file as each seed ends (a seed that stands there is not run again), and the table of all rows to coverage.md. --keep leaves the runs in
a folder, where a later study finds them; --refit begins the rows anew, for a change of the fits. A seed takes some 9 s of one core a
profile.
"""

import argparse
import json
import os
import pathlib
import random
import re
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROWS, TABLE = HERE / "coverage.tsv", HERE / "coverage.md"
CHIPS = HERE.parent.parent / "Sources/RRAMProfiles/Resources/chips"
COLUMNS = ["profile", "seed", "coefficient", "level_uS", "unit", "truth", "value", "low", "high"]

PLAN = """name: coverage
summary: the steps of full that a profile is fitted to
steps:
  - forming:
  - switching: {cells: 256, cycles: 100}
  - relaxation: {cells: 2560, levels: 5, from: 1 s, until: 24 h, perDecade: 4}
  - retention: {cells: 2400, levels: 4, temperatures: [25 °C, 65 °C, 105 °C], from: 1 s, until: 1000 s}
"""

# Drawn uniformly: ("add", V) moves by up to ± that, ("times", f) multiplies by 1/f … f. Lists get one factor for all their entries.
# Forming: one shift and one factor for the whole distribution, whose four figures must stay those of one.
PARAMETERS = {
    "cells.forming": (0.05, 1.15),
    "cells.formed.conductance": ("times", 1.1),
    "cells.formed.spread": ("times", 1.25),
    "programming.setVoltage": ("add", 0.04),
    "programming.resetVoltage": ("add", 0.04),
    "programming.voltsPerDecade": ("times", 1.15),
    "programming.cycleSpread": ("times", 1.25),
    "programming.deviceSpread": ("times", 1.25),
    "relaxation.components.stationary": ("times", 1.35),
    "relaxation.components.accumulating": ("times", 1.35),
    "relaxation.components.mean": ("times", 1.35),
    "retention.activationEnergy": ("times", 1.15),
}


def leaves(document):
    """Line number of each value of a profile by its path, with its numbers, and the factor of its unit to the fit's."""
    path, found = [], {}
    for number, line in enumerate(document):
        match = re.match(r"^( *)([A-Za-z0-9]+):", line)
        if not match:
            continue
        path = [(indent, key) for indent, key in path if indent < len(match[1])] + [(len(match[1]), match[2])]
        value = re.search(r"\{values?: (\[[^\]]*\]|[^,}]+), unit: \"?([^,}\"]+)", line)
        if value:
            numbers = [float(text) for text in value[1].strip("[]").split(",")]
            found[".".join(key for _, key in path)] = (number, numbers, 1e-3 if value[2] == "mV" else 1)
    return found


def draw(profile, seed, file):
    """Writes the profile of a seed; returns its numbers by path."""
    document = (CHIPS / f"{profile}.yaml").read_text().split("\n")
    random.seed(f"{profile} {seed}")
    known = leaves(document)

    def put(key, numbers):
        number, old, factor = known[key]
        texts = [f"{value / factor:.6g}" for value in numbers]
        new = f"{{values: [{', '.join(texts)}]" if len(old) > 1 else f"{{value: {texts[0]}"
        document[number] = re.sub(r"\{values?: (\[[^\]]*\]|[^,}]+)", new, document[number], count=1)

    for key, (how, size) in PARAMETERS.items():
        u = random.uniform(-1, 1)
        if key == "cells.forming":
            shift, scale = how * u, size ** random.uniform(-1, 1)
            mean = known["cells.forming.mean"][1][0]
            for name in ("mean", "quantile1", "quantile99"):
                put(f"{key}.{name}", [mean + shift + scale * (known[f"{key}.{name}"][1][0] - mean)])
            put(f"{key}.sigma", [scale * known["cells.forming.sigma"][1][0]])
            continue
        _, old, factor = known[key]
        put(key, [value * factor + size * u if how == "add" else value * factor * size**u for value in old])
    document = [re.sub(r"^name: .*", "name: drawn", line) for line in document]
    file.write_text("\n".join(document))
    return {key: [value * factor for value in numbers] for key, (_, numbers, factor) in leaves(document).items()}


def at(levels, values, level):
    """Linear between the profile's conductances, constant beyond, as the cells are made."""
    if level <= levels[0]:
        return values[0]
    for low, high, left, right in zip(levels, levels[1:], values, values[1:]):
        if level <= high:
            return left + (level - low) / (high - low) * (right - left)
    return values[-1]


def study(rram, profile, seed, folder):
    run = folder / f"{profile}-{seed}"
    environment = os.environ | {"RRAM_HOME": str(folder / "home")}

    def call(*arguments):
        done = subprocess.run([rram, *arguments], env=environment, capture_output=True)
        if done.returncode:
            sys.exit(f"{profile}, seed {seed}: {done.stderr.decode()}")
        return done.stdout

    chip = folder / f"{profile}-{seed}.yaml"
    truth = draw(profile, seed, chip)
    if not run.exists():
        new = run.with_suffix(".new")
        subprocess.run(["rm", "-rf", str(new)], check=True)
        (folder / "plan.yaml").write_text(PLAN)
        call("--board", f"emu:profile={chip},seed={seed}", "characterize", str(folder / "plan.yaml"), "-o", str(new), "-q")
        for file in new.iterdir():
            # What a fit does not read takes 15 MB a run.
            if file.suffix != ".npz" and file.name not in ("plan.yaml", "manifest.json"):
                file.unlink()
        new.rename(run)
    found = json.loads(call("profile", "fit", str(run), "--base", profile, "--json"))
    rows = []
    for coefficient in found["coefficients"]:
        levels = found["levelsMicrosiemens"] if coefficient["key"].startswith("relaxation.") else [None]
        for place, level in enumerate(levels):
            real = truth[coefficient["key"]]
            real = real[0] if level is None else at(truth["relaxation.components.conductances"], real, level)
            rows.append(
                [profile, seed, coefficient["key"], "" if level is None else f"{level:.4g}", coefficient["unit"]]
                + [f"{number:.6g}" for number in (real, coefficient["values"][place], coefficient["low"][place], coefficient["high"][place])])
    return rows


def table(rows):
    lines = []
    for profile in sorted({row[0] for row in rows}):
        mine = [row for row in rows if row[0] == profile]
        seeds = sorted({int(row[1]) for row in mine})
        lines += [
            f"`{profile}`: {len(seeds)} modelled chips, seeds {seeds[0]} to {seeds[-1]}. Errors and widths relative to the truth, in %.", "",
            "| coefficient | truth held | error, median | error, rms | width, median | error ≤ max(10 %, 3 SE) |", "|---|---:|---:|---:|---:|---:|"]
        groups = {}
        for row in mine:
            groups.setdefault((row[2], row[3]), []).append([float(number) for number in row[5:]])
        held = total = 0
        for (key, level), numbers in groups.items():
            inside = sum(low <= truth <= high for truth, _, low, high in numbers)
            held, total = held + inside, total + len(numbers)
            errors = [100 * (value / truth - 1) for truth, value, _, _ in numbers]
            width = statistics.median(100 * (high - low) / abs(truth) for truth, _, low, high in numbers)
            # An interval's half towards the truth is two standard errors.
            near = sum(
                abs(value - truth) <= max(0.1 * abs(truth), 1.5 * (high - value if truth > value else value - low))
                for truth, value, low, high in numbers)
            name = f"`{key}`" + (f" at {level} µS" if level else "")
            rms = (sum(error * error for error in errors) / len(errors)) ** 0.5
            lines.append(
                f"| {name} | {inside} of {len(numbers)} | {statistics.median(errors):+.2g} | {rms:.2g} | {width:.2g} | {near} |")
        lines += ["", f"Pooled: {held} of {total}, {100 * held / total:.1f} %.", ""]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profiles", default="hfox-mlc,hfox-analog")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--keep")
    parser.add_argument("--refit", action="store_true")
    parser.add_argument("--rows", default=str(ROWS))
    parser.add_argument("--table", default=str(TABLE))
    parser.add_argument("--rram", default=".build/release/rram")
    options = parser.parse_args()
    rram = str(pathlib.Path(options.rram).resolve())
    file = pathlib.Path(options.rows)
    rows = [line.split("\t") for line in file.read_text().splitlines()[1:]] if file.exists() else []
    if options.refit:
        rows = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(options.keep or scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for seed in range(options.first, options.first + options.seeds):
            for profile in options.profiles.split(","):
                if any(row[0] == profile and int(row[1]) == seed for row in rows):
                    continue
                rows += study(rram, profile, seed, folder)
                rows.sort(key=lambda row: (row[0], int(row[1])))
                text = ["\t".join(COLUMNS)] + ["\t".join(str(field) for field in row) for row in rows]
                file.with_suffix(".new").write_text("\n".join(text) + "\n")
                file.with_suffix(".new").rename(file)
                if not options.keep:
                    subprocess.run(["rm", "-rf", str(folder / f"{profile}-{seed}")], check=True)
    # Rows are strings where they were read, numbers where they are new.
    result = table(rows)
    print(result)
    pathlib.Path(options.table).write_text(
        "# Coverage of the fitted intervals\n\nWritten by `tools/bench/coverage.py` from `coverage.tsv`.\n\n" + result)


if __name__ == "__main__":
    main()
