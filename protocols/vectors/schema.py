"""The messages of rram.board.v1 as Python classes, made by protoc in a temporary folder: nothing generated is kept."""

import importlib
import pathlib
import subprocess
import sys
import tempfile

VECTORS = pathlib.Path(__file__).resolve().parent
PROTOCOLS = VECTORS.parent
NAMES = ("session", "cells", "converters", "loop", "envelope")


class Schema:
    """Attribute access to every message and enum of the package: schema.Request, schema.SET."""

    def __init__(self):
        with tempfile.TemporaryDirectory() as folder:
            files = [f"rram/board/v1/{name}.proto" for name in NAMES]
            subprocess.run(["protoc", "-I", str(PROTOCOLS), f"--python_out={folder}", *files], check=True)
            sys.path.insert(0, folder)
            try:
                self._modules = [importlib.import_module(f"rram.board.v1.{name}_pb2") for name in NAMES]
            finally:
                sys.path.remove(folder)

    def __getattr__(self, name):
        for module in self._modules:
            if hasattr(module, name):
                return getattr(module, name)
        raise AttributeError(f"rram.board.v1 has no {name}")
