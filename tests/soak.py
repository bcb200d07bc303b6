"""How much the tests of random inputs try: some in `make test`, many in `make soak`."""

import os

SOAK = os.environ.get("ONNURI_SOAK") == "1"


def tries(some: int, many: int) -> int:
    """Of examples, files, kills."""
    return many if SOAK else some
