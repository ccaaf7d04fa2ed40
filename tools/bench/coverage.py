#!/usr/bin/env python3
"""How often the 95 % intervals of a characterization hold the truth: emulated chips of known profiles, one die a seed.

Usage: tools/bench/coverage.py [--profile hfox-analog] [--seeds 100] [--first 1] [--plan FILE] [--rram PATH] [--jobs 1] [--markdown FILE]
Truth is the profile's own number; fitted is what `rram profile fit` makes of the run (steps forming, switching, relaxation, retention of the
plan, by default those of `full` without the others). Prints for each coefficient: how many intervals hold the truth, the median error, the
median width of the interval, and how many errors lie within max(10 %, 3 standard errors).
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

PLAN = """name: coverage
summary: the steps of full that a profile is fitted to
steps:
  - forming:
  - switching: {cells: 256, cycles: 20}
  - relaxation: {cells: 2560, levels: 5, from: 1 s, until: 24 h, perDecade: 2}
  - retention: {cells: 1024, levels: 4, temperatures: [25 °C, 65 °C, 105 °C], from: 1 s, until: 1000 s}
"""


def at(levels, values, level):
    """Linear between the profile's conductances, constant beyond, as the cells are made."""
    if level <= levels[0]:
        return values[0]
    for low, high, left, right in zip(levels, levels[1:], values, values[1:]):
        if level <= high:
            return left + (level - low) / (high - low) * (right - left)
    return values[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="hfox-analog")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--plan")
    parser.add_argument("--rram", default=".build/release/rram")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--markdown")
    options = parser.parse_args()
    rram = str(pathlib.Path(options.rram).resolve())

    shown = json.loads(subprocess.run([rram, "profile", "show", options.profile, "--json"], capture_output=True, check=True).stdout)
    truth = {}
    for value in shown["values"]:
        numbers = []
        for text in value["numbers"]:
            try:
                numbers.append(float(text))
            except ValueError:
                pass
        factor = {"mV": 1e-3}.get(value["unit"], 1)
        truth[value["key"]] = [number * factor for number in numbers]

    def one(seed, folder):
        plan = options.plan or str(folder / "plan.yaml")
        run = folder / f"run{seed}"
        environment = os.environ | {"RRAM_HOME": str(folder / f"home{seed}")}
        address = f"emu:profile={options.profile},seed={seed}"
        made = subprocess.run(
            [rram, "--board", address, "characterize", plan, "-o", str(run), "-q", "--json"], env=environment, capture_output=True)
        if made.returncode:
            sys.exit(f"seed {seed}: {made.stderr.decode()}")
        fit = subprocess.run([rram, "profile", "fit", str(run), "--json"], env=environment, capture_output=True)
        if fit.returncode:
            sys.exit(f"seed {seed}: {fit.stderr.decode()}")
        subprocess.run(["rm", "-rf", str(run)], check=True)
        found = json.loads(fit.stdout)
        results = []
        for coefficient in found["coefficients"]:
            key = coefficient["key"]
            if key not in truth or not truth[key]:
                continue
            levels = found["levelsMicrosiemens"]
            for place, value in enumerate(coefficient["values"]):
                if len(coefficient["values"]) > 1:
                    real = at(truth["relaxation.components.conductances"], truth[key], levels[place])
                    name = f"{key} at {levels[place]:.3g} µS"
                else:
                    real, name = truth[key][0], key
                results.append((name, coefficient["unit"], real, value, coefficient["low"][place], coefficient["high"][place]))
        return results

    table = {}
    with tempfile.TemporaryDirectory() as scratch, concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        folder = pathlib.Path(scratch)
        (folder / "plan.yaml").write_text(PLAN)
        for results in pool.map(lambda seed: one(seed, folder), range(options.first, options.first + options.seeds)):
            for name, unit, real, value, low, high in results:
                table.setdefault((name, unit, real), []).append((value, low, high))

    lines = [
        f"`{options.profile}`, seeds {options.first} to {options.first + options.seeds - 1}; modelled chips, 95 % intervals.", "",
        "| coefficient | truth | intervals that hold it | median error | median width | errors within max(10 %, 3 SE) |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    held = total = 0
    for (name, unit, real), found in table.items():
        inside = sum(low <= real <= high for _, low, high in found)
        held, total = held + inside, total + len(found)
        error = statistics.median(value - real for value, _, _ in found)
        width = statistics.median(high - low for _, low, high in found)
        # Half of an interval is 2.093 standard errors of the jackknife.
        near = sum(abs(value - real) <= max(0.1 * abs(real), 3 * (high - low) / 2 / 2.093) for value, low, high in found)
        lines.append(
            f"| `{name}` | {real:.4g} {unit if unit != '1' else ''} | {inside} of {len(found)} | {error:+.2g} | {width:.2g} | {near} |")
    lines += ["", f"Pooled: {held} of {total}, {100 * held / total:.1f} %."]
    print("\n".join(lines))
    if options.markdown:
        pathlib.Path(options.markdown).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
