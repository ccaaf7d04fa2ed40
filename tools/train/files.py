"""Weight files: safetensors, written so that the same weights give the same bytes."""

import json
from pathlib import Path

import numpy as np

Tensors = dict[str, np.ndarray]


def save_safetensors(path: Path, tensors: Tensors, metadata: dict[str, str]) -> None:
    """Write little-endian float32 tensors in the order of their names; the header is padded to 8 bytes."""
    header: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))}
    payload = b""
    for name in sorted(tensors):
        data = np.ascontiguousarray(tensors[name], "<f4").tobytes()
        offsets = [len(payload), len(payload) + len(data)]
        header[name] = {"dtype": "F32", "shape": list(tensors[name].shape), "data_offsets": offsets}
        payload += data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + payload)


def load_safetensors(path: Path) -> tuple[Tensors, dict[str, str]]:
    """Read float32 tensors, widened to float64, and the metadata."""
    blob = path.read_bytes()
    start = 8 + int.from_bytes(blob[:8], "little")
    header = json.loads(blob[8:start])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        values = np.frombuffer(blob[start + first : start + last], "<f4")
        tensors[name] = values.reshape(entry["shape"]).astype(np.float64)
    return tensors, metadata
