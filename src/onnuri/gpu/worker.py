"""The process of one stage: `python -m onnuri.gpu.worker DESCRIPTOR`, started by the runner.

Stage and settings come as JSON on standard input; every result goes to the descriptor as it comes.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from typing import Any

from onnuri.base.lifetime import end_with_parent
from onnuri.gpu.stage import Settings


def main() -> int:
    """Run the stage. Status 1 if it raises: its last line is the last result."""
    end_with_parent()
    request: dict[str, Any] = json.loads(sys.stdin.read())
    stage, settings = request["stage"], Settings(**request["settings"])
    with os.fdopen(int(sys.argv[1]), "w", encoding="utf-8") as results:
        try:
            module, _, function = stage["run"].partition(":")
            for result in getattr(importlib.import_module(module), function)(settings, **stage["options"]):
                results.write(json.dumps(result) + "\n")
                results.flush()
        except Exception as error:
            traceback.print_exc()
            text = " ".join(str(error).split())
            results.write(
                json.dumps({"event": "crash", "error": f"{type(error).__name__}: {text}"[:500]}) + "\n"
            )
            return 1
    return 0


if __name__ == "__main__":
    sys.stdout.flush()
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # threads of libraries sometimes abort an orderly exit
