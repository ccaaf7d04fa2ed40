#!/usr/bin/env python3
"""Checks the dissector: every vector, put into a USB capture, must come out of tshark with the same values.

The capture is written here, so nothing of the toolkit's own writer is trusted. Prints `N messages, 0 problems`; exit code 1
otherwise, 77 where tshark is missing.
"""

import json
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

from google.protobuf import json_format

sys.dont_write_bytecode = True
FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.append(str(FOLDER.parent / "vectors"))
from generate import filter_name  # noqa: E402
from schema import VECTORS, Schema  # noqa: E402

CONTROL, BULK, INTERRUPT = 2, 3, 1
DEVICE = bytes([18, 1, 0, 2, 0, 0, 0, 64, 0x09, 0x12, 0x01, 0x00, 0x00, 0x01, 0, 0, 0, 1])
CONFIGURATION = bytes(
    [9, 2, 39, 0, 1, 1, 0, 0x80, 50, 9, 4, 0, 0, 3, 0xFF, 0, 0, 0]
    + [7, 5, 0x01, 2, 0, 2, 0, 7, 5, 0x81, 2, 0, 2, 0, 7, 5, 0x82, 3, 16, 0, 4])
STATUS = bytes([1, 0b110, 3, 7, 0x10, 0, 0, 0]) + struct.pack("<Q", 0x0123456789ABCDEF)
DOORBELL = struct.pack("<IIQ", 5, 4, 1 << 40)


class Capture:
    """A pcapng file of USB packets as Linux's usbmon writes them (linktype 220)."""

    def __init__(self, path, device=3, vendor=0x1209):
        self.file, self.urb, self.device = open(path, "wb"), 0, device
        self.block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
        self.block(1, struct.pack("<HHI", 220, 0, 0))
        self.get_descriptor(1, DEVICE[:8] + struct.pack("<H", vendor) + DEVICE[10:])
        self.get_descriptor(2, CONFIGURATION)

    def block(self, kind, body):
        body += bytes(-len(body) % 4)
        self.file.write(struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12))

    def packet(self, event, transfer, endpoint, data=b"", length=None, setup=None, status=0):
        header = struct.pack(
            "<QBBBBHbbqiiII", self.urb, ord(event), transfer, endpoint, self.device, 1, 0 if setup else ord("-"),
            0 if data else ord("<" if endpoint & 0x80 else ">"), 0, self.urb, status,
            len(data) if length is None else length, len(data))
        header += (setup or bytes(8)) + bytes(16)
        body = header + data
        self.block(6, struct.pack("<IIIII", 0, 0, self.urb, len(body), len(body)) + body)

    def transfer(self, transfer, endpoint, data, setup=None):
        self.urb += 1
        is_in = endpoint & 0x80
        self.packet("S", transfer, endpoint, b"" if is_in else data, len(data), setup, -115)
        self.packet("C", transfer, endpoint, data if is_in else b"", len(data))

    def get_descriptor(self, kind, data):
        self.transfer(CONTROL, 0x80, data, struct.pack("<BBHHH", 0x80, 6, kind << 8, 0, len(data)))

    def close(self):
        self.file.close()


def dissect(path):
    """Every rram protocol tree of a capture, in order."""
    run = subprocess.run(
        ["tshark", "-X", f"lua_script:{FOLDER / 'rram.lua'}", "-r", str(path), "-T", "pdml"], capture_output=True,
        check=True)
    if b"Lua" in run.stderr:
        raise SystemExit(run.stderr.decode())
    return xml.etree.ElementTree.fromstring(run.stdout).iterfind("packet/proto[@name='rram']")


def number(field):
    return int(field.get("show"), 0)


def message(element, schema, name):
    """Builds the message that the fields below `element` show."""
    built = getattr(schema, name)()
    prefix = f"rram.{filter_name(name)}."
    for child in element.iterfind("field"):
        if not child.get("name").startswith(prefix):
            raise ValueError(f"{child.get('name')} within {name}")
        field = built.DESCRIPTOR.fields_by_name[child.get("name").removeprefix(prefix)]
        if field.type == field.TYPE_MESSAGE:
            value = message(child, schema, field.message_type.name)
            if field.label == field.LABEL_REPEATED:
                getattr(built, field.name).append(value)
            else:
                getattr(built, field.name).CopyFrom(value)
            continue
        if field.type in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
            # Shown with few digits: the number that is shown must be the one the bytes hold.
            raw = bytes.fromhex(child.get("value"))
            value = struct.unpack("<f" if len(raw) == 4 else "<d", raw)[0]
            shown = float(child.get("show"))
            if shown != value and abs(shown - value) > 1e-5 * abs(value):
                raise ValueError(f"{field.name} is shown as {shown}, is {value}")
        elif field.type == field.TYPE_BYTES:
            value = bytes.fromhex(child.get("value"))
        elif field.type == field.TYPE_STRING:
            value = child.get("show")
        elif field.type == field.TYPE_BOOL:
            value = child.get("show") in ("1", "True")
        else:
            value = number(child)
            if field.type == field.TYPE_ENUM:
                label = field.enum_type.values_by_number[value].name
                if label not in child.get("showname"):
                    raise ValueError(f"{field.name} {value} is shown as {child.get('showname')}")
        if field.label == field.LABEL_REPEATED:
            getattr(built, field.name).append(value)
        else:
            setattr(built, field.name, value)
    return built


def frames(protocols, schema):
    """(kind, flags, sequence, message) of every frame."""
    for protocol in protocols:
        for frame in protocol.iterfind("field[@name='rram.frame']"):
            found = {child.get("name"): child for child in frame.iterfind("field")}
            for kind in ("Request", "Response", "Event"):
                top = found.get(f"rram.{kind.lower()}")
                if top is not None:
                    yield (kind, number(found["rram.frame.flags"]), number(found["rram.frame.sequence"]),
                           message(top, schema, kind))


def expected(schema):
    for path in sorted(VECTORS.glob("*-*.json")):
        vector = json.loads(path.read_text(encoding="ascii"))
        kind = vector["message"].removeprefix("rram.board.v1.")
        yield (path.name, bytes.fromhex(vector["frame"]),
               (kind, vector["flags"], vector["sequence"], json_format.ParseDict(vector["json"], getattr(schema, kind)())))


def same(a, b):
    # NaN differs from itself; bytes do not.
    return a[:3] == b[:3] and a[3].SerializeToString(deterministic=True) == b[3].SerializeToString(deterministic=True)


def compare(name, got, wanted):
    got, wanted = list(got), list(wanted)
    if len(got) != len(wanted):
        yield f"{name}: {len(got)} messages of {len(wanted)}"
    for index, (a, b) in enumerate(zip(got, wanted)):
        if not same(a, b):
            yield f"{name}: message {index}: shown {a}, is {b}"


def one_burst_each(folder, schema, vectors):
    capture = Capture(folder / "bursts.pcapng")
    for _, data, (kind, *_) in vectors:
        capture.transfer(BULK, 0x01 if kind == "Request" else 0x81, data)
    capture.close()
    yield from compare("a frame a burst", frames(dissect(capture.file.name), schema), [v[2] for v in vectors])


def cut_anywhere(folder, schema, vectors):
    """All frames of a direction as one stream, in pieces; seed 1."""
    draw = random.Random(1)
    for endpoint, is_out in ((0x01, True), (0x81, False)):
        chosen = [v for v in vectors if (v[2][0] == "Request") == is_out]
        stream = b"".join(data for _, data, _ in chosen)
        capture = Capture(folder / f"cut-{endpoint}.pcapng")
        while stream:
            count = draw.choice([1, 3, 15, 16, 17, 64, 500])
            capture.transfer(BULK, endpoint, stream[:count])
            stream = stream[count:]
        capture.close()
        yield from compare(
            f"cut anywhere, endpoint {endpoint}", frames(dissect(capture.file.name), schema), [v[2] for v in chosen])


def damaged(folder, schema, vectors):
    """Noise is skipped, and a frame with a wrong check is shown as such and not as a message."""
    first, second = [v for v in vectors if v[2][0] == "Request"][:2]
    spoilt = bytearray(second[1])
    spoilt[-5] ^= 1
    capture = Capture(folder / "damaged.pcapng")
    capture.transfer(BULK, 0x01, first[1] + b"RRnoise" + bytes(spoilt) + first[1])
    capture.close()
    protocols = list(dissect(capture.file.name))
    yield from compare("beside noise", frames(protocols, schema), [first[2], first[2]])
    text = xml.etree.ElementTree.tostring(protocols[0]).decode()
    for word in ("rram.expert.payload_check", "rram.expert.skipped"):
        if word not in text:
            yield f"beside noise: {word} is missing"


def beside_the_frames(folder):
    capture = Capture(folder / "beside.pcapng")
    capture.transfer(CONTROL, 0x80, STATUS, struct.pack("<BBHHH", 0xC0, 3, 0, 0, 16))
    capture.transfer(INTERRUPT, 0x82, DOORBELL)
    for request in (1, 2):
        capture.transfer(CONTROL, 0x00, b"", struct.pack("<BBHHH", 0x40, request, 0, 0, 0))
    capture.close()
    shown, controls = {}, []
    for protocol in dissect(capture.file.name):
        controls += [field.get("show") for field in protocol.iterfind("field[@name='rram.control.request']")]
        shown |= {field.get("name"): field.get("show") for field in protocol.iter("field")}
    wanted = {
        "rram.status.layout": 1, "rram.status.energised": 0, "rram.status.grounded": 1, "rram.status.session": 1,
        "rram.status.last_safe_cause": 3, "rram.status.operations": 7, "rram.status.faults": 16,
        "rram.status.boot_id": 0x0123456789ABCDEF, "rram.doorbell.events": 5, "rram.doorbell.faults": 4,
        "rram.doorbell.board_time_us": 1 << 40}
    if controls != ["3", "1", "2"]:
        yield f"control requests are shown as {controls}"
    for name, value in wanted.items():
        text = {"False": "0", "True": "1"}.get(shown.get(name), shown.get(name))
        if text is None or int(text, 0) != value:
            yield f"{name} is shown as {text}, is {value}"


def resynchronised(folder, schema, vectors):
    """RESYNC forgets half a frame."""
    vector = [v for v in vectors if v[2][0] == "Request"][0]
    capture = Capture(folder / "resync.pcapng")
    capture.transfer(BULK, 0x01, vector[1][:20])
    capture.transfer(CONTROL, 0x00, b"", struct.pack("<BBHHH", 0x40, 2, 0, 0, 0))
    capture.transfer(BULK, 0x01, vector[1])
    capture.close()
    protocols = list(dissect(capture.file.name))
    yield from compare("after RESYNC", frames(protocols, schema), [vector[2]])
    if "rram.expert.skipped" in "".join(xml.etree.ElementTree.tostring(p).decode() for p in protocols):
        yield "after RESYNC: half a frame was kept"


def strangers(folder):
    """Vendor interfaces of other devices are left alone."""
    capture = Capture(folder / "stranger.pcapng", vendor=0x1234)
    capture.transfer(INTERRUPT, 0x82, DOORBELL)
    capture.transfer(CONTROL, 0x00, b"", struct.pack("<BBHHH", 0x40, 1, 0, 0, 0))
    capture.transfer(BULK, 0x01, b"Readings of a lamp")
    capture.transfer(BULK, 0x81, b"RRRRRRRRRRRRRRRRRRRRRR")
    capture.close()
    if list(dissect(capture.file.name)):
        yield "bytes of a stranger are shown as ours"


def main():
    if shutil.which("tshark") is None:
        print("skipped: tshark is missing ('tools/setup test' installs it)")
        return 77
    schema = Schema()
    vectors = list(expected(schema))
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        problems = [
            *one_burst_each(folder, schema, vectors), *cut_anywhere(folder, schema, vectors),
            *damaged(folder, schema, vectors), *beside_the_frames(folder), *resynchronised(folder, schema, vectors),
            *strangers(folder)]
    for problem in problems:
        print(problem[:500], file=sys.stderr)
    print(f"{len(vectors)} messages, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
