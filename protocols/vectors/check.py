#!/usr/bin/env python3
"""Checks every vector with a frame reader of its own and Python's protobuf. Prints `N passed, 0 failed`; exit code 1 otherwise.

For a firmware engineer: this file is also the shortest complete reader of the protocol.
"""

import json
import math
import struct
import sys
import zlib

from google.protobuf import json_format

sys.dont_write_bytecode = True
from schema import VECTORS, Schema  # noqa: E402

KEYS = ["message", "flags", "sequence", "json", "frame"]


class FrameReader:
    """Finds frames in a stream of bytes; see framing.md."""

    def __init__(self, maximum=1 << 20):
        self.maximum, self.buffer, self.bad, self.skipped = maximum, b"", 0, 0

    def feed(self, data):
        """Yields (flags, sequence, payload) of every frame that is complete."""
        self.buffer += data
        at = 0
        while len(self.buffer) - at >= 16:
            sync, version, flags, sequence, length, check = struct.unpack_from("<HBBIII", self.buffer, at)
            good = zlib.crc32(self.buffer[at:at + 12]) == check
            if sync != 0x5252 or version != 1 or not good or length > self.maximum:
                at += 1
                self.skipped += 1
                continue
            if len(self.buffer) - at < 20 + length:
                break
            payload = self.buffer[at + 16:at + 16 + length]
            if zlib.crc32(payload) == struct.unpack_from("<I", self.buffer, at + 16 + length)[0]:
                yield flags, sequence, payload
            else:
                self.bad += 1
            at += 20 + length
        self.buffer = self.buffer[at:]


def problems(path, schema, seen):
    """What is wrong with one vector, as sentences."""
    text = path.read_text(encoding="ascii")
    vector = json.loads(text)
    if json.dumps(vector, indent=2) + "\n" != text:
        yield "the file is not written as generate.py writes it"
    if list(vector) != KEYS:
        yield f"keys are {list(vector)}, not {KEYS}"
        return
    kind = vector["message"].removeprefix("rram.board.v1.")
    if kind not in ("Request", "Response", "Event") or not path.stem.startswith(kind.lower() + "-"):
        yield f"{vector['message']} does not belong into {path.name}"
        return
    if vector["frame"] != vector["frame"].lower():
        yield "the hex digits are not lower case"
    data = bytes.fromhex(vector["frame"])
    frames = list(FrameReader().feed(data))
    if len(frames) != 1:
        yield f"{len(frames)} frames found, not 1"
        return
    flags, sequence, payload = frames[0]
    if (flags, sequence) != (vector["flags"], vector["sequence"]) or len(payload) + 20 != len(data):
        yield f"flags {flags}, sequence {sequence}, {len(payload)} payload bytes do not agree with the file"
    if (sequence == 0) != (kind == "Event"):
        yield f"sequence {sequence} in a {kind}"
    message = getattr(schema, kind)()
    message.ParseFromString(payload)
    if json_format.MessageToDict(message) != vector["json"]:
        yield "the decoded message differs from the JSON"
    again = json_format.ParseDict(vector["json"], getattr(schema, kind)())
    if again != message and "nan" not in str(again):
        yield "the JSON read back differs from the decoded message"
    if again.SerializeToString(deterministic=True) != payload:
        yield "the encoded message differs from the frame"
    for cut in range(len(data)):
        if len(data) <= 1024 and list(FrameReader().feed(data[:cut])):
            yield f"the first {cut} bytes already give a frame"
    seen.add((kind, message.WhichOneof("body")))
    if kind == "Response":
        seen.add(("Status", message.status))


def uncovered(schema, seen):
    """Bodies and statuses that no vector shows."""
    for kind in ("Request", "Response", "Event"):
        for field in getattr(schema, kind).DESCRIPTOR.oneofs_by_name["body"].fields:
            if (kind, field.name) not in seen:
                yield f"no vector for {kind}.{field.name}"
    for value in schema.Response.DESCRIPTOR.fields_by_name["status"].enum_type.values:
        if value.number != 0 and ("Status", value.number) not in seen:
            yield f"no vector for status {value.name}"


def noise_problems(path):
    """Recomputes the known answers of the sampling noise."""
    text = path.read_text(encoding="ascii")
    document = json.loads(text)
    if json.dumps(document, indent=2) + "\n" != text or list(document) != ["noise"] or not document["noise"]:
        yield "the file is not written as generate.py writes it"
        return
    mask = 0xFFFFFFFF
    for answer in document["noise"]:
        seed = int(answer["seed"])
        x, y, z, w = answer["sample"], answer["tick"], answer["channel"], 0x57494E52
        low, high = seed & mask, seed >> 32
        for _ in range(10):
            a, b = 0xD2511F53 * x, 0xCD9E8D57 * z
            x, y, z, w = (b >> 32) ^ y ^ low, b & mask, (a >> 32) ^ w ^ high, a & mask
            low, high = (low + 0x9E3779B9) & mask, (high + 0xBB67AE85) & mask
        u0, u1 = (x + 0.5) * 2.0**-32, (y + 0.5) * 2.0**-32
        xi = math.sqrt(-2.0 * math.log(u0)) * math.cos(2.0 * math.pi * u1)
        expected = {"words": [x, y], "xi": f"{xi:.12f}", "held": f"{min(4.0, max(-4.0, xi)):.12f}"}
        got = {key: answer[key] for key in expected}
        if got != expected or list(answer) != ["seed", "sample", "tick", "channel", *expected]:
            yield f"seed {seed}: {got}, computed {expected}"


def main():
    schema, seen, passed, failed = Schema(), set(), 0, 0
    for path in sorted(VECTORS.glob("*.json")):
        try:
            found = list(noise_problems(path) if path.stem == "noise" else problems(path, schema, seen))
        except Exception as error:  # whatever is wrong with a file is a failure of that file
            found = [f"{type(error).__name__}: {error}"]
        for problem in found:
            print(f"{path.name}: {problem}", file=sys.stderr)
        passed, failed = passed + (not found), failed + bool(found)
    missing = list(uncovered(schema, seen))
    if not (VECTORS / "noise.json").exists():
        missing.append("noise.json is missing")
    for problem in missing:
        print(problem, file=sys.stderr)
    failed += len(missing)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
