"""Write strategies on emulated chips, every strategy on the same formed chips: two bits a cell, or with --network a network in pairs of cells.

A chip is formed once; each strategy writes a copy of it. `response, known` is `response` on a chip that was written before, to other
levels, and learnt from it. Nothing here knows what the emulator knows.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import fmean, median

PLAIN = {name: ["--strategy", name] for name in ("gate-ramp", "fixed-gate", "ispp", "response", "pair-aware")}
# name → options of `rram write`
STRATEGIES = {name: PLAIN[name] for name in ("gate-ramp", "fixed-gate", "ispp", "response")} | {
    "response, 5 passes": [*PLAIN["response"], "--passes", "5"],
    "response, known": PLAIN["response"],
    "response, by the host": [*PLAIN["response"], "--decide", "host"],
}
# name → options of `rram program`
NETWORK_STRATEGIES = {name: PLAIN[name] for name in ("ispp", "gate-ramp", "fixed-gate", "response")} | {
    "response, retry 3 × 60 s": [*PLAIN["response"], "--retry", "3"],
    "pair-aware": PLAIN["pair-aware"],
    "pair-aware, retry 3 × 60 s": [*PLAIN["pair-aware"], "--retry", "3"],
}
NEEDS_GATE = {"gate-ramp", "fixed-gate"}
WITHOUT_GATE = {"cmo-hfox", "hfox-analog", "ideal"}
BASELINE = "gate-ramp"
# The default levels in another order: every cell of a chip that is written twice gets another level the first time.
OTHER_LEVELS = "166.389..173.310,107.411..117.509,67.9..72.1,0..33.333"


def run(rram, arguments, environment):
    done = subprocess.run([rram, *arguments, "--json", "-q"], env=environment, capture_output=True, text=True)
    # 3: ran, with too few cells in their windows, which is a result here.
    if done.returncode not in (0, 3):
        raise RuntimeError(f"rram {' '.join(arguments)}: exit {done.returncode}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def chip(options, seed, strategies):
    """Rows of all strategies on one chip."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)

        def board(state):
            return f"emu:profile={options.profile},seed={seed},state={state}"

        formed = dict(os.environ, RRAM_HOME=str(folder / "formed"), RRAM_BOARD=board(folder / "formed.npz"))
        run(options.rram, ["form"], formed)
        for name in strategies:
            for leftover in ("home", "die.npz"):
                path = folder / leftover
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
            shutil.copytree(folder / "formed", folder / "home")
            shutil.copy(folder / "formed.npz", folder / "die.npz")
            environment = dict(os.environ, RRAM_HOME=str(folder / "home"), RRAM_BOARD=board(folder / "die.npz"))
            arguments = ["write", *STRATEGIES[name]]
            if name.endswith("known"):
                run(options.rram, [*arguments, "--levels", OTHER_LEVELS, "--later", "0"], environment)
            found = run(options.rram, [*arguments, "--later", str(options.later)], environment)
            rows.append({**found, "strategy": name, "seed": seed})
    return rows


def network_chip(options, profile, seed, strategies):
    """Rows of all strategies that write a network to one chip: what the write took, and the samples a minute later."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)

        def board(state):
            return f"emu:profile={profile},seed={seed},state={state}"

        formed = dict(os.environ, RRAM_HOME=str(folder / "formed"), RRAM_BOARD=board(folder / "formed.npz"))
        run(options.rram, ["form", "--for", options.network], formed)
        for name in strategies:
            for leftover in ("home", "die.npz"):
                path = folder / leftover
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
            shutil.copytree(folder / "formed", folder / "home")
            shutil.copy(folder / "formed.npz", folder / "die.npz")
            environment = dict(os.environ, RRAM_HOME=str(folder / "home"), RRAM_BOARD=board(folder / "die.npz"))
            row = run(options.rram, ["program", options.network, *NETWORK_STRATEGIES[name], "--follow", "60s"], environment)
            for key, calibration in (("plain", ["--calibration", "none"]), ("calibrated", [])):
                if key == "calibrated":
                    run(options.rram, ["calibrate", "schedule", options.network, "--predict", "0"], environment)
                file = str(folder / "s.npz")
                run(options.rram, ["sample", options.network, "-n", str(options.n), "-o", file, *calibration], environment)
                row[key] = run(options.rram, ["evaluate", file, "--model", options.network], environment)["ratio"]
            rows.append({**row, "name": name, "profile": profile, "seed": seed})
    return rows


def network_table(rows, profiles, strategies):
    head = ["profile", "strategy", "chips", "cells", "in tolerance %", "± µS", "pulses a cell: mean", "95 %", "all pulses", "reads", "requests",
            "chip + bus µs a cell, waits taken off", "σ of G+ − G−, µS: verify", "60 s", "weight error 60 s, %", "KL2d / software's: model's tables", "calibrated",
            "SWD / software's: model's tables", "calibrated"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for profile in profiles:
        for name in strategies:
            found = [row for row in rows if row["profile"] == profile and row["name"] == name]
            if not found:
                continue

            def mean(value):
                return fmean(value(row) for row in found)

            def middle(value):
                return f"{median(value(row) for row in found):.2f}"

            epochs = 3 if "retry" in name else 0
            lines.append("| " + " | ".join([
                profile, name, str(len(found)), f"{mean(lambda row: row['cells']):.0f}",
                f"{mean(lambda row: 100 * row['inTolerance'] / row['cells']):.2f}", f"{found[0]['tolerance_uS']:.2g}",
                f"{mean(lambda row: row['pulses']['mean']):.2f}", f"{mean(lambda row: row['pulses']['p95']):.1f}",
                f"{mean(lambda row: row['pulses']['mean'] * row['cells'] + ((row['retry'] or {}).get('pulses') or 0)):.0f}",
                f"{mean(lambda row: row['reads']):.0f}", f"{mean(lambda row: row['requests']):.0f}",
                f"{mean(lambda row: 1e6 * (row['chipSeconds'] - 60 * epochs) / row['cells']):.1f}",
                f"{mean(lambda row: row['differenceError_uS']['verify']['std']):.3f}",
                f"{mean(lambda row: row['differenceError_uS']['after60s']['std']):.3f}",
                f"{mean(lambda row: row['weightErrorPercent']):.2f}",
                middle(lambda row: row["plain"]["kl2d"]), middle(lambda row: row["calibrated"]["kl2d"]),
                middle(lambda row: row["plain"]["slicedWasserstein"]), middle(lambda row: row["calibrated"]["slicedWasserstein"]),
            ]) + " |")
    return "\n".join(lines)


def write_network(options, seeds):
    profiles = options.profile.split(",")
    strategies = options.strategy or list(NETWORK_STRATEGIES)
    rows = []
    jobs = [(profile, seed) for seed in seeds for profile in profiles]

    def one(job):
        profile, seed = job
        return network_chip(
            options, profile, seed, [name for name in strategies if not (name in NEEDS_GATE and profile in WITHOUT_GATE)])

    with ThreadPoolExecutor(options.j) as pool:
        for done, found in enumerate(pool.map(one, jobs), 1):
            rows += found
            print(f"\r{done}/{len(jobs)} chips", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return f"""# Write strategies, `{options.network}` in pairs of cells

Emulated chips, seeds {options.seeds}, formed once and copied for every strategy; n = {options.n} samples a chip. Written by

    tools/bench/writing --network {options.network} --profile {options.profile} --seeds {options.seeds} -n {options.n}

Pulses a cell are those of the first write; *all pulses* has those of the retries too, *reads* every read of a cell until a minute after the write.
Of `pair-aware` the window is that of the difference of a pair, √2 times as wide, which leaves a weight the same error at verify. The other columns are means over
chips, ratios medians. What cells do after the write is most of the error a minute later. Everything is modelled.

{network_table(rows, profiles, strategies)}
"""


def interval(values, statistic=fmean, draws=2000):
    """95 % bootstrap interval over chips."""
    source = random.Random(1)
    found = sorted(statistic(source.choices(values, k=len(values))) for _ in range(draws))
    return found[int(0.025 * draws)], found[int(0.975 * draws) - 1]


def table(rows, strategies):
    head = ["strategy", "chips", "cells", "accepted %", "at once %", "later %", "pulses mean", "95 % interval", "median", "95 %", "max", "× fewer",
            "reads", "chip + bus µs a cell", "processor µs a cell", "requests", "rounds"]
    by_name = {name: [row for row in rows if row["strategy"] == name] for name in strategies}
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]

    def pulses(found):
        return [row["all"]["pulses"]["mean"] for row in found]

    for name, found in by_name.items():
        cells = sum(row["all"]["cells"] for row in found)

        def mean(value):
            return sum(value(row) * row["all"]["cells"] for row in found) / cells

        low, high = interval(pulses(found))
        fewer = fmean(pulses(by_name[BASELINE])) / fmean(pulses(found)) if BASELINE in by_name else None
        seconds = fmean(row["chipSeconds"] / row["all"]["cells"] for row in found)
        lines.append("| " + " | ".join([
            name, str(len(found)), str(cells), f"{mean(lambda row: row['all']['accepted_percent']):.2f}",
            f"{mean(lambda row: row['all']['inWindowAtOnce_percent'] or 0):.1f}", f"{mean(lambda row: row['all']['inWindowLater_percent'] or 0):.1f}", f"{fmean(pulses(found)):.2f}", f"{low:.2f}–{high:.2f}",
            f"{fmean(row['all']['pulses']['median'] for row in found):.1f}", f"{fmean(row['all']['pulses']['p95'] for row in found):.1f}",
            str(max(row["all"]["pulses"]["max"] for row in found)), "" if fewer is None else f"{fewer:.2f}",
            f"{mean(lambda row: row['all']['reads']['mean']):.2f}", f"{1e6 * seconds:.2f}",
            f"{fmean(1e6 * row['processorSeconds'] / row['all']['cells'] for row in found):.1f}",
            f"{fmean(row['requests'] for row in found):.0f}", f"{fmean(row['rounds'] for row in found):.0f}",
        ]) + " |")
    return "\n".join(lines)


def levels(rows, strategies):
    lines = ["| strategy | level | accepted % | later % | pulses mean | reads mean |", "|---|---|---|---|---|---|"]
    for name in strategies:
        found = [row for row in rows if row["strategy"] == name]
        for index, level in enumerate(found[0]["levels"]):
            of_level = [row["levels"][index] for row in found]
            lines.append("| " + " | ".join([
                name, level["level"], f"{fmean(one['accepted_percent'] for one in of_level):.2f}",
                f"{fmean(one['inWindowLater_percent'] or 0 for one in of_level):.1f}",
                f"{fmean(one['pulses']['mean'] for one in of_level):.2f}", f"{fmean(one['reads']['mean'] for one in of_level):.2f}",
            ]) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(prog="tools/bench/writing", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--rram", help="the program; default: the release build of this tree")
    parser.add_argument("--seeds", default="2001-2064", help="chips: 2001-2064, or 7,8,9")
    parser.add_argument("--profile", default="hfox-mlc", help="chip profile; with --network several: cmo-hfox,hfox-analog,hfox-mlc")
    parser.add_argument("--network", help="write this network, and draw samples of it, instead of two bits a cell")
    parser.add_argument("-n", type=int, default=8192, help="samples a chip, with --network")
    parser.add_argument("--strategy", action="append", choices=list(dict.fromkeys([*STRATEGIES, *NETWORK_STRATEGIES])),
                        help="one or several; default: all")
    parser.add_argument("--later", type=int, default=64, help="reads of every cell afterwards")
    parser.add_argument("-j", type=int, default=os.cpu_count(), help="chips at once")
    parser.add_argument("-o", type=Path, help="write the table here as well")
    options = parser.parse_args()
    options.rram = options.rram or str(options.root / ".build/release/rram")
    seeds = []
    for part in options.seeds.split(","):
        first, _, last = part.partition("-")
        seeds += range(int(first), int(last or first) + 1)
    begin, rows = time.time(), []
    if options.network:
        text = write_network(options, seeds)
        print(text)
        print(f"{time.time() - begin:.0f} s", file=sys.stderr)
        if options.o:
            options.o.write_text(text)
        return
    strategies = options.strategy or list(STRATEGIES)
    with ThreadPoolExecutor(options.j) as pool:
        for done, found in enumerate(pool.map(lambda seed: chip(options, seed, strategies), seeds), 1):
            rows += found
            print(f"\r{done}/{len(seeds)} chips", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    text = f"""# Write strategies, two bits a cell

Emulated `{options.profile}`, one macro of 64×64 cells a chip, all usable ones written; seeds {options.seeds}. Written by

    tools/bench/writing --profile {options.profile} --seeds {options.seeds}

*Accepted* is what the procedure says. *At once* is the share of all cells whose mean of 64 conversions, read right after the end of the
write, lies in the window: the cell's own conductance, the noise of a read averaged away. *Later* is the share of all cells whose mean of {options.later} later reads, 10 ms apart, lies in
the window: cells relax within milliseconds of the write, whatever the strategy. Pulses count all cells, those that fail included; their
interval is a bootstrap over chips; *× fewer* is against `{BASELINE}`, the incremental scheme published for such chips. Chip and bus time
are modelled; processor time is measured on this machine, host and emulator together.

{table(rows, strategies)}

By level:

{levels(rows, strategies)}
"""
    print(text)
    print(f"{time.time() - begin:.0f} s", file=sys.stderr)
    if options.o:
        options.o.write_text(text)


if __name__ == "__main__":
    main()
