#!/usr/bin/env python3
"""Lines of the decoders that the fuzzers' inputs reach: `tools/fuzz/run coverage` calls it with llvm-cov, the fuzzer, its profile and the sources.

What only a sender needs is no decoder and is left out: memberwise initialisers, `message()`, `payload()`, `body`, writers; so is what only a person
needs, descriptions. Every other line of the files counts. With --missed the lines that nothing reached are printed as well.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

SENDER = re.compile(
    r"\.message\(\)|\.payload\(\)|body\.getter|\(RRAMWire\.ResponseBody\)|Writer|Encoder|needsOperationID"  # written
    r"|\.description\.getter|\.csv\.getter|\.name\.getter|\.unit\.getter"  # shown to people
    # What callers make of a request or answer, or ask it.
    r"|WriteVerify\.(part|needsStrategies|bytesPerCell)|UploadSchedule\.channels|LoopRow\.input|ReadADC\.reference|\.response<"
    r"|CellMask\.(subscript|selectedIndices|init<)|CellSelection\.indices|pendingBytes|NPZArchive\.contains|init\(file: Swift\.String\)"
    # Answers of the USB/IP server, packets that are sent.
    r"|USBIP\.(refused|submitted|unlinked|\(header)|USBIP\.Status|SocketPacket\.append")
# Labelled arguments that are fields of a message; decoders take bytes, a message, a number or a file.
MEMBERWISE = re.compile(r"\.init\((?!payload:|csv:|yaml:|rawValue:|bytes:|npy:|_:|RRAMWire\.Rram_Board|header:|parsing:|reading:|file:|Swift\.UInt)\w+:")


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
        if SENDER.search(name) or MEMBERWISE.search(name.split(" in ")[-1]):
            start, _, end, *_ = function["regions"][0]
            left_out.setdefault(function["filenames"][0], set()).update(range(start, end + 1))
    total = reached = 0
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
        total, reached = total + len(lines), reached + hit
        name = "/".join(Path(file["filename"]).parts[-2:])
        if lines:
            print(f"{name:<44}{hit:>6} of{len(lines):>5}{100 * hit / len(lines):>8.1f} %")
        if missed:
            for line in sorted(line for line, count in lines.items() if count == 0):
                print(f"    {line:>4} {text[line - 1].strip()}")
    print(f"{'decoders':<44}{reached:>6} of{total:>5}{100 * reached / total:>8.1f} %")


if __name__ == "__main__":
    main()
