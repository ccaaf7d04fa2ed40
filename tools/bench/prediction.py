#!/usr/bin/env python3
"""Does a profile that was fitted to a chip predict that chip's programming error and the quality of its ring?

Usage: tools/bench/prediction.py [--profiles hfox-mlc,hfox-analog] [--chips 1-3] [--seeds 101-108] [--runs DIR] [--rram PATH] [-o FILE]
Each chip has a profile of its own, drawn as `coverage.py` draws it. It is characterized, `rram profile fit --base NAME` makes mychip.yaml of the
run, and then chips of the drawn profile and of mychip.yaml, of the same seeds, are formed, programmed with the ring, read 600 s later and
sampled: medians over the seeds of the rms error of the cells and of KL2d to the data, fitted over true. --runs: kept runs of coverage.py.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import coverage

HERE = pathlib.Path(__file__).resolve().parent


def ring(call, profile, seed, folder):
    """Programming error in µS after 600 s and KL2d of one chip, by the path of a user."""
    state = folder / "die.npz"
    state.unlink(missing_ok=True)
    board = f"emu:profile={profile},seed={seed},state={state}"
    file = str(folder / "ring.npz")
    call("--board", board, "form", "--for", "ring")
    error = call("--board", board, "program", "ring", "--follow", "600s")["error_uS"]["after600s"]
    call("--board", board, "sample", "ring", "-n", "8192", "--calibration", "none", "-o", file)
    return (error["mean"] ** 2 + error["std"] ** 2) ** 0.5, call("evaluate", file, "--model", "ring")["kl2d"]


def span(text):
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profiles", default="hfox-mlc,hfox-analog")
    parser.add_argument("--chips", type=span, default=span("1-3"))
    parser.add_argument("--seeds", type=span, default=span("101-108"))
    parser.add_argument("--runs")
    parser.add_argument("--rram", default=".build/release/rram")
    parser.add_argument("-o", "--output", default=str(HERE / "prediction.md"))
    options = parser.parse_args()
    rram = str(pathlib.Path(options.rram).resolve())
    lines = [
        "# What a fitted profile predicts", "",
        f"Written by `tools/bench/prediction.py`: modelled chips, medians over seeds {options.seeds[0]} to {options.seeds[-1]}, the same for both profiles; "
        "ring, 8192 samples, uncalibrated, 600 s after writing.", "",
        "| profile | chip | error, µS: true | fitted | ratio | KL2d: true | fitted | ratio |", "|---|---|---:|---:|---:|---:|---:|---:|"]
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        runs = pathlib.Path(options.runs or scratch)
        environment = os.environ | {"RRAM_HOME": str(folder / "home")}

        def call(*arguments):
            done = subprocess.run([rram, *arguments, "--json", "-q"], env=environment, capture_output=True)
            # 3: ran, with too few cells in tolerance, which is a result here.
            if done.returncode not in (0, 3):
                sys.exit(f"rram {' '.join(arguments)}: {done.stderr.decode()}")
            return json.loads(done.stdout)

        for profile in options.profiles.split(","):
            for chip in options.chips:
                coverage.study(rram, profile, chip, runs)
                fitted = str(folder / "mychip.yaml")
                call("profile", "fit", str(runs / f"{profile}-{chip}"), "--base", profile, "-o", fitted)
                found = [
                    [ring(call, source, seed, folder) for seed in options.seeds]
                    for source in (str(runs / f"{profile}-{chip}.yaml"), fitted)]
                row = []
                for place in (0, 1):
                    true, predicted = [statistics.median(chips[place] for chips in of) for of in found]
                    row += [f"{true:.3g}", f"{predicted:.3g}", f"{predicted / true:.3f}"]
                lines.append(f"| {profile} | {chip} | " + " | ".join(row) + " |")
                print(lines[-1], flush=True)
    pathlib.Path(options.output).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
