"""Network evaluations a CPU second of `rram bench` and of PyTorch, measured in turns on one thread, and their ratios.

PyTorch runs the same loop the way that is fastest there: Euler, one column a sample, products that add in place, no
graph, subnormal numbers flushed (the ring has weights of 1e-38, on which the arithmetic of some processors crawls).
'Noisy' adds one normal draw per output with variance Σv²σ², fresh in every evaluation, on both sides.
"""

import argparse
import json
import math
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "train"))
from files import load_safetensors  # noqa: E402

NOISE = 0.01
STEPS = 200


class Loop:
    """dx/dτ = ½β(t)·(x + amplitude·net(x, e(t))) on 200 Euler steps."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.layers = [(tensors[f"linears.{i}.weight"], tensors[f"linears.{i}.bias"]) for i in (0, 2, 4)]
        t = 1 - (torch.arange(STEPS) + 0.5) * (1 - 1e-4) / STEPS
        phase = 2 * math.pi * t[:, None] * tensors["embed.W"]
        embedding = torch.cat([phase.sin(), phase.cos()], 1)
        # Bias and embedding in one column a step and layer: nothing is added twice in the loop.
        self.columns = [(embedding + bias)[:, :, None] for _, bias in self.layers[:2]]
        self.output_bias = self.layers[2][1][:, None]
        self.rates = (0.5 * 2 * (0.001 + t * 0.499) * (1 - 1e-4) / STEPS).tolist()
        self.variances = [2 * (NOISE * float(torch.max(w.abs().max(), b.abs().max()))) ** 2 for w, b in self.layers]

    def run(self, x: Tensor, noisy: bool) -> Tensor:
        """x has shape (2, batch)."""
        for step, rate in enumerate(self.rates):
            v = x
            for index, (weight, _) in enumerate(self.layers):
                start = self.columns[index][step] if index < 2 else self.output_bias
                out = torch.addmm(start, weight, v)
                if noisy:
                    deviation = torch.linalg.vecdot(v, v, dim=0).add_(1).mul_(self.variances[index]).sqrt_()
                    out.addcmul_(torch.randn_like(out), deviation)
                v = out.relu_() if index < 2 else out
            x = x.mul(1 + rate).add_(v, alpha=5 * rate)
        return x

    def rate(self, batch: int, noisy: bool, seconds: float) -> float:
        x = torch.randn(2, batch)
        self.run(x, noisy)
        runs, begin = 0, time.process_time()
        while (spent := time.process_time() - begin) < seconds:
            self.run(x, noisy)
            runs += 1
        return runs * batch * STEPS / spent


CASES = [  # row of rram bench, method, batch, noisy
    ("closedLoopIdeal", "heun", 1, False),
    ("closedLoopIdeal", "heun", 10_000, False),
    ("closedLoopIdeal", "euler", 10_000, False),
    ("closedLoopIdeal", "heun", 50_000, False),
    ("closedLoopNoisy", "euler", 10_000, True),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rram", required=True, help="the built rram")
    parser.add_argument("--model", required=True, type=Path, help="ring.safetensors")
    parser.add_argument("--rounds", type=int, default=3, help="turns of both sides; medians are printed")
    parser.add_argument("--seconds", type=float, default=1.0, help="CPU seconds of one measurement of PyTorch")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    loop = Loop({name: torch.from_numpy(value).float() for name, value in load_safetensors(options.model)[0].items()})

    ours: dict[tuple, list[float]] = {}
    theirs: dict[tuple, list[float]] = {}
    isa = version = ""
    with torch.no_grad():
        for turn in range(options.rounds):
            print(f"turn {turn + 1} of {options.rounds}", file=sys.stderr)
            for name in dict.fromkeys(case[0] for case in CASES):
                command = [options.rram, "bench", "--only", name, "--json"]
                document = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
                isa, version = document["isa"], document["version"]
                for row in document["rows"]:
                    key = (row["name"], row["method"], row["batch"])
                    ours.setdefault(key, []).append(row["evaluationsPerCPUSecond"])
                for case in (case for case in CASES if case[0] == name):
                    theirs.setdefault(case[:3], []).append(loop.rate(case[2], case[3], options.seconds))

    rows = []
    for case in CASES:
        key = case[:3]
        mine, other = statistics.median(ours[key]), statistics.median(theirs[key])
        rows.append({"name": key[0], "method": key[1], "batch": key[2], "evaluationsPerCPUSecond": mine,
                     "torchEvaluationsPerCPUSecond": other, "ratio": mine / other})
    result = {"schema": 1, "isa": isa, "rram": version, "torch": torch.__version__, "python": platform.python_version(),
              "rounds": options.rounds, "rows": rows}
    if options.json:
        print(json.dumps(result, indent=1))
        return
    print(f"million network evaluations a CPU second, one thread, medians of {options.rounds} turns")
    print(f"rram {version} ({isa}), PyTorch {torch.__version__} (Euler), Python {platform.python_version()}\n")
    print(f"{'':<17}{'method':>7}{'batch':>8}{'rram':>9}{'PyTorch':>10}{'ratio':>8}")
    for row in rows:
        print(f"{row['name']:<17}{row['method']:>7}{row['batch']:>8}{row['evaluationsPerCPUSecond'] / 1e6:>9.4g}"
              f"{row['torchEvaluationsPerCPUSecond'] / 1e6:>10.3g}{row['ratio']:>8.3g}")


if __name__ == "__main__":
    main()
