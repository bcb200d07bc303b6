"""Imported first by the scripts: in a Python without Onnuri one line says what to do."""

import importlib.util
import sys

if importlib.util.find_spec("onnuri") is None:
    print(
        f"error: onnuri is not installed in {sys.executable}; run `make install`, then "
        "`source .venv/bin/activate`",
        file=sys.stderr,
    )
    sys.exit(2)
