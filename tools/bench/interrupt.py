#!/usr/bin/env python3
"""Kills `rram characterize` (SIGKILL) at random moments and lets it go on, against runs of the same chips that nobody disturbed.

Usage: tools/bench/interrupt.py [--kills 20] [--seed 1] [--rram PATH]
Checks for every kill: the events that were on disk are all there afterwards and in the same order, arrays of finished steps do not change,
the run goes on to its end, and every figure of the report has an interval that meets that of the undisturbed run; prints how many figures
are equal to the last digit. Exit 1 where a check fails.
"""

import argparse
import csv
import hashlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

PLAN = """name: interrupted
steps:
  - forming: {cells: 128}
  - switching: {cells: 16, cycles: 4}
  - programming: {cells: 192, levels: 4, laterReads: 16}
  - readNoise: {cells: 16, reads: 128}
  - endurance: {cells: 8, cycles: 2000}
  - arrayMap:
"""


def rows(folder):
    """Whole lines of the log: what a kill cut off is none."""
    path = folder / "events.csv"
    if not path.exists():
        return []
    text = path.read_bytes().decode().split("\r\n")[:-1]
    return [line for line in csv.reader(text) if len(line) == 13 and line[3] not in ("event", "step")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rram", default=".build/release/rram")
    options = parser.parse_args()
    draw = random.Random(options.seed)
    rram = str(pathlib.Path(options.rram).resolve())
    failures = equal = figures = resumed_steps = 0
    with tempfile.TemporaryDirectory() as scratch:
        root = pathlib.Path(scratch)
        (root / "plan.yaml").write_text(PLAN)

        def run(name, chip, *arguments):
            # The seed is in the address, so that both chips of a pair are the same one.
            return subprocess.Popen(
                [rram, "--board", f"emu:profile=hfox-analog,seed={chip},state={root}/{name}.npz", "characterize", *arguments, "-q"],
                env=os.environ | {"RRAM_HOME": str(root / name)}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

        # How long the plan takes here: kills are spread over it.
        begin = time.monotonic()
        first = run("probe", 999, str(root / "plan.yaml"), "-o", str(root / "probe-run"))
        if first.wait():
            sys.exit(first.stderr.read().decode())
        length = time.monotonic() - begin
        for kill in range(options.kills):
            chip = 100 + kill
            whole, cut = root / f"whole{kill}-run", root / f"cut{kill}-run"
            assert run(f"whole{kill}", chip, str(root / "plan.yaml"), "-o", str(whole)).wait() == 0
            moment = draw.uniform(0.02, 0.98) * length
            process = run(f"cut{kill}", chip, str(root / "plan.yaml"), "-o", str(cut))
            time.sleep(moment)
            process.send_signal(signal.SIGKILL)
            process.wait()
            before = rows(cut)
            finished = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in cut.glob("[0-9]*.npz")}
            journals = list(cut.glob("*.journal"))
            if not (cut / "plan.yaml").exists():
                print(f"kill {kill + 1:2}: after {moment:5.2f} s, before the first step")
                continue
            again = run(f"cut{kill}", chip, "--resume", str(cut))
            if again.wait():
                print(f"kill {kill + 1:2}: does not go on: {again.stderr.read().decode()}")
                failures += 1
                continue
            problems = []
            if rows(cut)[:len(before)] != before:
                problems.append("events were lost")
            for name, digest in finished.items():
                if hashlib.sha256((cut / name).read_bytes()).hexdigest() != digest:
                    problems.append(f"{name} changed")
            one, two = (json.loads((folder / "report.json").read_text()) for folder in (whole, cut))
            same = total = 0
            for a, b in zip(one["sections"], two["sections"]):
                for left, right in zip(a["estimates"], b["estimates"]):
                    total += 1
                    same += left.get("value") == right.get("value")
                    if None in (left.get("low"), right.get("low")):
                        continue
                    if left["low"] > right["high"] or right["low"] > left["high"]:
                        problems.append(f"{a['title']}: {left['name']} {left['value']:.4g} and {right['value']:.4g}")
            equal, figures = equal + same, figures + total
            resumed_steps += bool(journals)
            failures += bool(problems)
            print(
                f"kill {kill + 1:2}: after {moment:5.2f} s, {len(before)} events and {len(finished)} finished steps kept, "
                f"{'in mid-step, ' if journals else ''}{same} of {total} figures equal" + "".join(f"; {text}" for text in problems),
                flush=True)
    print(f"{options.kills} kills, {failures} with a fault, {resumed_steps} in mid-step; {equal} of {figures} figures equal to the last digit")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
