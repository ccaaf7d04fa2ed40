"""Quality of samples over emulated chips: every case on every seed through the command line, then medians and 90th percentiles.

A chip takes the path of a user: form, program, wait, sample, calibrate, sample. Each step is one run of `rram` with --json; a chip lies in a
state file of its own, with records of its own. Nothing here knows what the emulator knows.

Every chip's figures are a line of quality.tsv. A study goes on where it stopped: seeds that the file has are not measured again, and quality.md
is made of all that it has.
"""

import argparse
import csv
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


class Case:
    """A profile, a model, and what is done after writing.

    Tables are the targets of calibrations, "TARGET, tracked" for updates on the way, None for the model's own.
    """

    def __init__(self, name, profile, model, wait, tables, solver=None, samples=20000, profile_edits=(), board_edits=(), again=(),
                 mapping=(), screen=False, quality=None):
        self.name, self.profile, self.model, self.wait = name, profile, model, wait
        self.tables, self.solver, self.samples = tables, solver, samples
        self.profile_edits, self.board_edits = profile_edits, board_edits
        # (name, further wait): the same chip measured once more, calibrated anew.
        self.again = again
        # Options of `form` and `program` that say how weights become conductances, and whether noisy cells are looked for.
        self.mapping, self.screen = mapping, screen
        # Or the goal from which `form` and `program` choose these by themselves.
        self.quality = quality


# Every weight on as few cells as it needs of those of all rows that fit, the others pristine; a scale a column.
SPARSE = ("--replicas", "most", "--pairs", "sparse", "--scale", "column")

# The calibration that `program --quality` chose.
RECIPE = "the recipe's"

CASES = [
    Case("cmo-hfox, 600 s", "cmo-hfox", "ring", "600s", [None, "software", "ring"], again=[("cmo-hfox, one day", "1d")]),
    Case("hfox-analog, 600 s", "hfox-analog", "ring", "600s", [None, "software", "software, tracked"]),
    Case("hfox-analog, sparse and screened, 600 s", "hfox-analog", "ring", "600s", [None, "software", "software, tracked"], samples=8192,
         mapping=SPARSE, screen=True),
    Case("hfox-analog, a scale a column, 600 s", "hfox-analog", "ring", "600s", [None, "software"], samples=8192,
         mapping=("--scale", "column")),
    Case("hfox-analog, a scale a column, hidden units rescaled, 600 s", "hfox-analog", "ring", "600s", [None, "software"],
         samples=8192, mapping=("--scale", "column", "--rescale", "diagonal")),
    Case("hfox-analog, sparse and screened, hidden units rescaled, 600 s", "hfox-analog", "ring", "600s", ["software"], samples=8192,
         mapping=SPARSE + ("--rescale", "diagonal"), screen=True),
    Case("cmo-hfox, --quality equivalent, 600 s", "cmo-hfox", "ring", "600s", [RECIPE], quality="equivalent",
         again=[("cmo-hfox, --quality equivalent, one day", "24h")]),
    Case("hfox-analog, --quality equivalent, 600 s", "hfox-analog", "ring", "600s", [RECIPE], samples=8192, quality="equivalent"),
    Case("cmo-hfox, letters by SDE", "cmo-hfox", "letters", "600s", [None, "software"], solver="sde", samples=12000),
    Case("hfox-analog, letters by SDE", "hfox-analog", "letters", "600s", [None, "software"], solver="sde", samples=12000),
    Case("hfox-analog, sparse and screened, letters by SDE", "hfox-analog", "letters", "600s", ["software"], solver="sde", samples=12000,
         mapping=SPARSE, screen=True),
    Case("hfox-analog, sparse and screened, letters by SDE, tracked", "hfox-analog", "letters", "600s", ["software, tracked"], solver="sde",
         samples=12000, mapping=SPARSE, screen=True),
    Case("hfox-analog, sparse and screened, 1 % of the cells stuck", "hfox-analog", "ring", "600s", ["software, tracked"], samples=8192,
         profile_edits=[("stuckLow", 0.005), ("stuckHigh", 0.005)], mapping=SPARSE, screen=True),
    Case("hfox-analog, sparse and screened, integrators off by σ = 0.05 unit", "hfox-analog", "ring", "600s", ["software, tracked"],
         samples=8192, board_edits=[("integratorOffset", 0.005)], mapping=SPARSE, screen=True),
    Case("cmo-hfox, 1 % of the cells stuck", "cmo-hfox", "ring", "600s", [None, "software"],
         profile_edits=[("stuckLow", 0.005), ("stuckHigh", 0.005)]),
    Case("cmo-hfox, integrators off by σ = 0.05 unit", "cmo-hfox", "ring", "600s", [None, "software"],
         board_edits=[("integratorOffset", 0.005)]),
]


def edited(text, edits):
    """A YAML document with other values of some keys, each marked as assumed."""
    for key, value in edits:
        text, count = re.subn(rf"(\b{key}: \{{value: )[^,]+", rf"\g<1>{value}", text)
        if count != 1:
            sys.exit(f"key {key} stands {count} times in the document")
    return text


def run(rram, arguments, environment):
    done = subprocess.run([rram, *arguments, "--json", "-q"], env=environment, capture_output=True, text=True)
    # 3: ran, with too few cells in tolerance, which is a result here.
    if done.returncode not in (0, 3):
        raise RuntimeError(f"rram {' '.join(arguments)}: exit {done.returncode}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def chip(options, case, seed, folder):
    """All rows of one case on one chip."""
    folder = Path(folder)
    chips = options.root / "Sources/RRAMProfiles/Resources"
    profile, board = case.profile, "parallel"
    if case.profile_edits:
        profile = str(folder / "profile.yaml")
        Path(profile).write_text(edited((chips / f"chips/{case.profile}.yaml").read_text(), case.profile_edits))
    if case.board_edits:
        board = str(folder / "board.yaml")
        Path(board).write_text(edited((chips / "boards/parallel.yaml").read_text(), case.board_edits))
    environment = dict(os.environ, RRAM_HOME=str(folder / "home"),
                       RRAM_BOARD=f"emu:profile={profile},board={board},seed={seed},state={folder / 'die.npz'}")

    def rram(*arguments):
        return run(options.rram, arguments, environment)

    goal = ["--quality", case.quality] if case.quality else []
    formed = rram("form", "--for", case.model, *goal, *case.mapping, *(["--screen"] if case.screen else []))
    program = rram("program", case.model, *goal, *case.mapping)
    rows = []
    for name, wait in [(case.name, case.wait), *case.again]:
        rram("wait", wait)
        for tables in case.tables:
            label = tables or "the model's"
            if tables == RECIPE:
                tables = {"none": None, "once": "software", "tracked": "software, tracked"}[program["recipe"]["choice"]["calibration"]]
            target, track = (tables or "").removesuffix(", tracked"), (tables or "").endswith(", tracked")
            calibration = None
            solver = ["--solver", case.solver] if case.solver else []
            if target:
                calibration = rram("calibrate", "schedule", case.model, "--target", target, "--predict", "0", *solver)
            file = str(folder / "s.npz")
            sample = rram("sample", case.model, "-n", str(options.samples or case.samples), "--seed", str(options.noise_seed), "-o", file,
                          "--calibration", calibration["id"] if calibration else "none", *solver, *(["--track"] if track else []))
            updates = sample["tracking"] or []
            quality = rram("evaluate", file, "--model", case.model)
            rows.append({
                "case": name, "tables": label, "seed": seed, "noiseSeed": options.noise_seed, "n": sample["samples"], "commit": options.commit,
                "tracked": track, "cells": program["cells"], "inTolerance": program["inTolerance"],
                "pulses": program["pulses"]["mean"] * program["cells"], "reads": program["reads"], "writeSeconds": program["chipSeconds"],
                "screenSeconds": (formed.get("screened") or {}).get("chipSeconds"),
                "calibrationChipSeconds": (calibration["chipSeconds"] if calibration else 0) + sum(x["chipSeconds"] for x in updates),
                "calibrationHostSeconds": (calibration["hostSeconds"] if calibration else 0) + sum(x["hostSeconds"] for x in updates),
                "movementPercent": sample["calibration"]["movementPercent"] if calibration else None,
                "kl2d": quality["ratio"]["kl2d"], "swd": quality["ratio"]["slicedWasserstein"],
                "radiusMean": quality["radiusMean"] - quality["software"]["radiusMean"],
                "radiusStd": quality["radiusStd"] / quality["software"]["radiusStd"],
                "letters": 100 * (quality["letters"]["mean"] - quality["softwareLetters"]["mean"]) if "letters" in quality else None,
                "partRMS": middle([part["rmsToSoftware"] for part in quality.get("parts") or []]),
                "partSpread": middle([part["radiusStd"] / quality["software"]["radiusStd"] for part in quality.get("parts") or []]),
            })
            if options.keep:
                destination = Path(options.keep) / (re.sub(r"[^a-z0-9]+", "-", f"{name} {tables or 'own'} {seed}".lower()) + ".npz")
                destination.parent.mkdir(parents=True, exist_ok=True)
                destination.write_bytes(Path(file).read_bytes())
    return rows


def middle(values):
    """Median; None of nothing."""
    return percentile(values, 0.5) if values else None


def percentile(values, share):
    """Linear interpolation between order statistics."""
    values = sorted(values)
    place = share * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (place - low) * (values[high] - values[low])


def interval(values, share, generator, draws=2000):
    """95 % bootstrap interval of a percentile over chips."""
    found = sorted(percentile(generator.choices(values, k=len(values)), share) for _ in range(draws))
    return percentile(found, 0.025), percentile(found, 0.975)


def summary(rows):
    """One line a case and table."""
    result = []
    for key in dict.fromkeys((row["case"], row["tables"], row["n"], row["noiseSeed"]) for row in rows):
        chips = [row for row in rows if (row["case"], row["tables"], row["n"], row["noiseSeed"]) == key]
        generator = random.Random(1)
        line = {"case": key[0], "tables": key[1], "n": key[2], "noiseSeed": key[3], "chips": len(chips),
                "seeds": ranges(row["seed"] for row in chips), "commits": list(dict.fromkeys(row["commit"] for row in chips)),
                "tracked": sum(row["tracked"] for row in chips)}
        for name in ["cells", "pulses", "reads", "writeSeconds", "calibrationChipSeconds", "calibrationHostSeconds", "radiusMean",
                     "radiusStd", "letters", "movementPercent", "screenSeconds", "partRMS", "partSpread"]:
            values = [row[name] for row in chips if row[name] is not None]
            line[name] = percentile(values, 0.5) if values else None
        for name in ["kl2d", "swd"]:
            values = [row[name] for row in chips]
            for label, share in [("median", 0.5), ("p90", 0.9)]:
                line[f"{name}_{label}"] = percentile(values, share)
                line[f"{name}_{label}_interval"] = interval(values, share, generator)
        result.append(line)
    return result


def ranges(numbers):
    """1001–1016, 1020 of some integers."""
    numbers = sorted(set(numbers))
    parts = []
    for number in numbers:
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(f"{first}–{last}" if last > first else str(first) for first, last in parts)


def kept(file):
    """Rows of a file; none if there is no such file."""
    if not file.exists():
        return []
    texts = {"case", "tables", "commit"}
    with file.open(newline="") as stream:
        return [{name: value if name in texts else json.loads(value) if value else None for name, value in row.items()}
                for row in csv.DictReader(stream, delimiter="\t")]


def keep(file, rows):
    """Adds one chip's rows to a file, in one write."""
    text = "" if file.exists() else "\t".join(rows[0]) + "\n"
    for row in rows:
        values = (f"{value:.6g}" if isinstance(value, float) else "" if value is None else value if isinstance(value, str) else json.dumps(value)
                  for value in row.values())
        text += "\t".join(values) + "\n"
    with file.open("a") as stream:
        stream.write(text)


def markdown(lines):
    def ratio(line, name):
        def part(label):
            low, high = line[f"{name}_{label}_interval"]
            return f"{line[f'{name}_{label}']:.2f} ({low:.2f}–{high:.2f})"
        return f"{part('median')} / {part('p90')}"

    text = [
        "# Quality over chips",
        "",
        "Written by `tools/bench/quality` of `quality.tsv`, which has every chip's figures: emulated chips, one run through the commands `form`, `program`, `wait`, "
        "`calibrate schedule`, `sample`, `evaluate` a chip. All figures are modelled. Host times were taken on a machine that did other things as well.",
        "",
        "KL2d and sliced Wasserstein (SWD) are ratios to the same network in software with the same start points and noise: median / 90th "
        "percentile over chips, each with its 95 % bootstrap interval. Below 1 is better than software. Radius: mean less the software's, in units, and "
        "spread over the software's, medians; a ring that only became thicker would show there. The other columns are medians a chip.",
        "",
        "*Sparse and screened*: `--replicas most --pairs sparse --scale column`, `form --screen`. *--quality equivalent*: `form --for ring --quality equivalent` and "
        "`program ring --quality equivalent`, which reads ten minutes later, then calibrated and sampled as the recipe says.",
        "",
        "| chips | tables fitted to | n | KL2d | SWD | radius: mean, spread | letters read, points | cells | pulses | reads | writing, chip s | "
        "screening, chip s | calibrating, chip s / host s | moved since, % of the window | parts of a tracked run: rms to software, units; radius spread |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for line in lines:
        calibrated = line["calibrationHostSeconds"] > 0
        tracked = f", {line['tracked']} tracked" if line["tables"] == RECIPE else ""
        text.append("| " + " | ".join([
            line["case"], line["tables"] + tracked, str(line["chips"]), ratio(line, "kl2d"), ratio(line, "swd"),
            f"{line['radiusMean']:+.4f}, {line['radiusStd']:.2f}",
            f"{line['letters']:+.1f}" if line["letters"] is not None else "",
            f"{line['cells']:.0f}", f"{line['pulses']:.0f}", f"{line['reads']:.0f}", f"{line['writeSeconds']:.4f}",
            f"{line['screenSeconds']:.0f}" if line["screenSeconds"] else "",
            f"{line['calibrationChipSeconds']:.3f} / {line['calibrationHostSeconds']:.2f}" if calibrated else "",
            f"{line['movementPercent']:.2f}" if line["movementPercent"] is not None else "",
            f"{line['partRMS']:.3f}; {line['partSpread']:.2f}" if line["partRMS"] is not None else "",
        ]) + " |")
    text += ["", "Seeds of the chips, samples of each, seed of start points and noise, and the commits that they were measured with:", ""]
    for key in dict.fromkeys((line["case"], line["seeds"], line["n"], line["noiseSeed"], tuple(line["commits"])) for line in lines):
        same = [line["tables"] for line in lines if (line["case"], line["seeds"], line["n"], line["noiseSeed"], tuple(line["commits"])) == key]
        text.append(f"* {key[0]} ({'; '.join(same)}): seeds {key[1]}, n = {key[2]}, noise {key[3]}, commits {', '.join(key[4])}")
    return "\n".join(text) + "\n"


def main():
    parser = argparse.ArgumentParser(prog="tools/bench/quality", description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--rram", help="the command; default: the release build")
    parser.add_argument("--seeds", default="3001-3016", help="seeds of the chips, first-last (default: %(default)s)")
    parser.add_argument("--noise-seed", type=int, default=0, help="seed of start points and noise (default: %(default)s)")
    parser.add_argument("--samples", "-n", type=int, help="samples a run; default: the case's")
    parser.add_argument("--case", action="append", help="only cases whose name contains this; may be repeated")
    parser.add_argument("--jobs", type=int, default=1, help="chips at a time (default: %(default)s)")
    parser.add_argument("--rows", type=Path, help="every chip's figures, to which new ones are added (default: quality.tsv beside this tool)")
    parser.add_argument("--output", "-o", type=Path, help="the table of all rows, markdown (default: quality.md beside this tool)")
    parser.add_argument("--table", action="store_true", help="measure nothing: make the table of the rows that there are")
    parser.add_argument("--keep", help="keep the sample files in this folder")
    options = parser.parse_args()
    here = options.root / "tools/bench"
    options.rram = options.rram or str(options.root / ".build/release/rram")
    options.rows = options.rows or here / "quality.tsv"
    options.output = options.output or here / "quality.md"
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", options.seeds)
    if not match:
        parser.error(f"--seeds {options.seeds}: first-last is needed")
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        parser.error(f"--seeds {options.seeds}: the last is below the first")
    cases = [case for case in CASES if not options.case or any(part in case.name for part in options.case)]
    if not cases:
        parser.error("no such case; there are: " + "; ".join(case.name for case in CASES))
    git = ["git", "-C", str(options.root)]
    options.commit = subprocess.run([*git, "describe", "--always", "--dirty=+", "--abbrev=8"], capture_output=True, text=True, check=True).stdout.strip()
    begin = time.monotonic()

    def one(work):
        case, seed = work
        with tempfile.TemporaryDirectory() as folder:
            try:
                return chip(options, case, seed, folder)
            except RuntimeError as error:
                return f"{case.name}, seed {seed}: {error}"

    known = {(row["case"], row["seed"], row["n"], row["noiseSeed"]) for row in kept(options.rows)}
    work = [] if options.table else [
        (case, seed) for case in cases for seed in range(first, last + 1)
        if (case.name, seed, options.samples or case.samples, options.noise_seed) not in known]
    failed = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for done, result in enumerate(pool.map(one, work), 1):
            if isinstance(result, str):
                failed.append(result)
                print(result, file=sys.stderr)
            else:
                keep(options.rows, result)
            print(f"{done} of {len(work)} chips, {time.monotonic() - begin:.0f} s", file=sys.stderr)
    order = [name for case in CASES for name in (case.name, *(again for again, _ in case.again))]
    rows = [row for row in kept(options.rows) if row["case"] in order]
    if not rows:
        sys.exit("no chip could be measured")
    rows.sort(key=lambda row: (order.index(row["case"]), row["seed"]))
    text = markdown(summary(rows))
    if failed:
        text += "\nNot measured:\n" + "".join(f"* {line}\n" for line in failed)
    options.output.write_text(text)
    print(text, end="")
    sys.exit(1 if failed else 0)


main()
