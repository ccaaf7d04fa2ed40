#!/usr/bin/env python3
"""Lines of the decoders that the fuzzers' inputs reach: `tools/fuzz/run coverage` calls it with llvm-cov, the fuzzer, its profile and the sources.

Left out is what decodes nothing, by the rules of LEFT_OUT, and how many lines that are is printed; every other line of the files counts. With --missed
the lines that nothing reached are printed as well.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

# Functions by their demangled names, and why they are no decoders.
LEFT_OUT = {
    "writes": r"\.message\(\)|\.payload\(\)|body\.getter|Writer|Encoder|needsOperationID|SocketPacket\.append|ScopeCapture\.csv\.getter",
    "answers of the USB/IP server": r"USBIP\.(refused|submitted|unlinked|\(header)|USBIP\.Status",
    "memberwise initialiser of a message": r"^RRAMWire\.\w+(\.\w+)?\.init\((?!payload:|rawValue:|bytes:|RRAMWire\.Rram_Board)\w+:.*\) -> ",
    "picks a body that was decoded": r"\(RRAMWire\.ResponseBody\)|\.response<",
    "text for people": r"\.description\.getter|RRAMWire.*\.name\.getter|\.unit\.getter",
    "asks a value that was decoded": r"WriteVerify\.(part|needsStrategies|bytesPerCell)|UploadSchedule\.channels|LoopRow\.input|ReadADC\.(reference|loopback)"
    r"|CellMask\.(subscript|selectedIndices|init<)|CellSelection\.indices|pendingBytes|NPZArchive\.contains|ScopeCapture\.(points|\(value)",
    "opens a file and hands its bytes on": r"init\(file: Swift\.String\)|\.load\((nameOrPath|path):|shippedNames|ProfileDocument\.(read|isPath|named)",
}


def main() -> None:
    missed = "--missed" in sys.argv
    llvm_cov, fuzz, profile, *sources = [argument for argument in sys.argv[1:] if argument != "--missed"]
    exported = json.loads(subprocess.run(
        [llvm_cov, "export", "-format=text", fuzz, "-instr-profile", profile, *sources], check=True, capture_output=True).stdout)["data"][0]
    names = [function["name"].split(":")[-1] for function in exported["functions"]]
    demangled = subprocess.run(
        ["swift", "demangle", "-compact"], input="\n".join(names), text=True, check=True, capture_output=True).stdout.splitlines()
    left_out: dict[str, set[int]] = {}
    for function, name in zip(exported["functions"], demangled):
        # A closure's name ends in that of the function it stands in.
        inner = name.rsplit(") in ", 1)[-1] if name.startswith(("implicit closure", "closure")) else name
        if any(re.search(pattern, inner) and not ("memberwise" in why and " throws" in inner) for why, pattern in LEFT_OUT.items()):
            start, _, end, *_ = function["regions"][0]
            left_out.setdefault(function["filenames"][0], set()).update(range(start, end + 1))
    total = reached = out = 0
    for file in exported["files"]:
        # The greatest count on a line, of the segments that begin on it and the one that goes on from before.
        counts: dict[int, int] = {}
        segments = file["segments"]
        for (line, _, count, counted, _, gap), (next_line, *_) in zip(segments, segments[1:] + [[segments[-1][0], 0]]):
            if not counted or gap:
                continue
            for at in range(line, next_line + 1):
                counts[at] = max(counts.get(at, 0), count)
        text = Path(file["filename"]).read_text().splitlines()
        lines = {
            line: count for line, count in counts.items()
            if line not in left_out.get(file["filename"], ()) and text[line - 1].strip(" {}()[],") and not text[line - 1].strip().startswith("//")}
        hit = sum(count > 0 for count in lines.values())
        out += sum(line in counts for line in left_out.get(file["filename"], ()))
        total, reached = total + len(lines), reached + hit
        name = "/".join(Path(file["filename"]).parts[-2:])
        if lines:
            print(f"{name:<44}{hit:>6} of{len(lines):>5}{100 * hit / len(lines):>8.1f} %")
        if missed:
            for line in sorted(line for line, count in lines.items() if count == 0):
                print(f"    {line:>4} {text[line - 1].strip()}")
    print(f"{'decoders':<44}{reached:>6} of{total:>5}{100 * reached / total:>8.1f} %")
    print(f"left out: {out} lines of functions that decode nothing: " + "; ".join(LEFT_OUT))


if __name__ == "__main__":
    main()
