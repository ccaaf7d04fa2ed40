#!/usr/bin/env python3
"""Fuzzing inputs that are made of others: inputs.py FOLDER writes FOLDER/messages, FOLDER/frames and FOLDER/yaml.

Every message of the protocol's vectors, and each of them again with one field wrong: a number at its end or not finite, bytes cut or one too many,
a field left out. A chip profile and a plan with one thing wrong each.
"""

import json
import re
import shutil
import sys
from pathlib import Path


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


def fields(data: bytes) -> list[tuple[int, int, bytes]] | None:
    """(number, wire type, content) of a protobuf message, or None where it is none."""
    found, at = [], 0

    def number() -> int | None:
        nonlocal at
        value = shift = 0
        while at < len(data) and shift < 70:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
        return None

    while at < len(data):
        key = number()
        if key is None or key >> 3 == 0:
            return None
        kind, start = key & 7, at
        if kind == 0:
            if number() is None:
                return None
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        elif kind == 2:
            length = number()
            if length is None:
                return None
            start, at = at, at + length
        else:
            return None
        if at > len(data):
            return None
        found.append((key >> 3, kind, data[start:at]))
    return found


def join(parts: list[tuple[int, int, bytes]]) -> bytes:
    return b"".join(varint(number << 3 | kind) + (varint(len(content)) if kind == 2 else b"") + content for number, kind, content in parts)


def wrong(data: bytes, depth: int = 0):
    """Messages that differ from `data` in one field, nested ones included."""
    parts = fields(data)
    if not parts or depth > 4:
        return
    for place, (number, kind, content) in enumerate(parts):
        def other(content: bytes) -> bytes:
            return join(parts[:place] + [(number, kind, content)] + parts[place + 1:])

        yield join(parts[:place] + parts[place + 1:])
        if kind == 0:
            for value in (0, 255, 1 << 16, (1 << 32) - 1, (1 << 64) - 1):
                yield other(varint(value))
        elif kind == 5:
            for bits in (0x7FC00000, 0x7F800000, 0xBF800000, 0x7F7FFFFF, 0):
                yield other(bits.to_bytes(4, "little"))
        elif kind == 1:
            for bits in (0x7FF8 << 48, 0xBFF0 << 48, (1 << 64) - 1):
                yield other(bits.to_bytes(8, "little"))
        else:
            # As what a message, floats or codes would be.
            yield other(content[:-1])
            yield other(content + b"\xff")
            yield other(content + b"\x00\x00\xc0\x7f")
            yield other(b"\x00\x00\xc0\x7f" * max(1, len(content) // 4))
            yield other(b"x" * 300)
            for inner in wrong(content, depth + 1):
                yield other(inner)


# Pattern and replacement, once in a good chip profile.
PROFILES = [
    (r", unit: V", ""), (r", unit: V", ", unit: s"), (r"value: [0-9.]+", "value: abc"), (r"value: [0-9.]+", "value: 1e999"),
    (r"value: [0-9.]+", "value: [1]"), (r", assumed: [^}]*", ""), (r", assumed: ", ", source: s, assumed: "), (r"unit: µS", "unit: uS"),
    (r"    readVoltage: .*\n", ""), (r"    readVoltage: ", "    unknown: 1\n    readVoltage: "), (r"setControl: \w+", "setControl: odd"),
    (r"setControl: \w+", "setControl: gate\n  gate:\n    threshold: {value: 1, unit: V, assumed: a}\n    slope: {value: 100, unit: µS/V, assumed: a}"),
    (r"values: \[[^]]*\]", "values: []"), (r"values: \[[^]]*\]", "values: [x]"), (r"\A", "&anchor "), (r"\A", "[1, "), (r"\A", "a: 1\na: 2\n"), (r"\A", "'"),
    (r"(?s)\A.*", "[1]"), (r"(?s)\A.*", ""),
]
PLANS = [
    "name: p\nsteps: []\n", "name: p\nsteps: 5\n", "name: p\nsteps:\n  - 5\n", "name: p\nsteps:\n  - forming: 1\n    contact: 2\n", "name: p\nsteps:\n  - nothing:\n",
    "name: [p]\nsteps:\n  - forming:\n", "name: p\nsteps:\n  - forming: {cells: many}\n", "name: p\nsteps:\n  - relaxation: {from: 1}\n",
    "name: p\nsteps:\n  - relaxation: {from: 1 V}\n", "name: p\nsteps:\n  - relaxation: {from: one s}\n", "name: p\nsteps:\n  - relaxation: {unknown: 1}\n",
    "name: p\nsteps:\n  - retention: {temperatures: []}\n", "name: p\nsteps:\n  - retention: {temperatures: [25 °C, 1 K]}\n",
    "name: p\nsteps:\n  - retention: {temperatures: [25 °C, 85 °C]}\n  - bringUp: {tolerance: 1 %}\n",
]


def documents(folder: Path, corpus: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    met: set[str] = set()
    for count, plan in enumerate(PLANS):
        (folder / f"plan-{count}").write_bytes(b"\x03" + plan.encode())
    for name in ("chip-hfox-analog", "chip-cmo-hfox"):
        good = (corpus / name).read_bytes()[1:].decode()
        limits = re.search(r"(?m)^limits:\n((?:  .*\n)+)", good)
        if limits:
            (folder / f"limits-{name}").write_bytes(b"\x02" + re.sub(r"(?m)^  ", "", limits[1]).encode())
        for count, (pattern, replacement) in enumerate(PROFILES):
            bad, matches = re.subn(pattern, lambda _: replacement, good, count=1)
            if matches:
                met.add(pattern)
                (folder / f"{name}-{count}").write_bytes(b"\x00" + bad.encode())
    if missing := {pattern for pattern, _ in PROFILES} - met:
        sys.exit(f"inputs.py: nothing in a profile is like {missing}")


def main() -> None:
    folder = Path(sys.argv[1])
    # What is not made any more must not count any more.
    shutil.rmtree(folder, ignore_errors=True)
    documents(folder / "yaml", Path(__file__).parent / "corpus" / "yaml")
    for name in ("messages", "frames"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for path in sorted((Path(__file__).parent / "../../protocols/vectors").glob("*.json")):
        vector = json.loads(path.read_text())
        if "frame" not in vector:
            continue
        frame = bytes.fromhex(vector["frame"])
        kind = ["Request", "Response", "Event"].index(vector["message"].rsplit(".", 1)[1])
        # Header of 16 bytes, payload, four bytes of check; in front what the target takes for kind and step.
        payload = frame[16:-4]
        (folder / "messages" / path.stem).write_bytes(bytes([kind]) + payload)
        (folder / "frames" / path.stem).write_bytes(bytes([kind]) + frame)
        for count, message in enumerate(dict.fromkeys(other for other in wrong(payload) if other != payload)):
            (folder / "messages" / f"{path.stem}-{count}").write_bytes(bytes([kind]) + message)


if __name__ == "__main__":
    main()
