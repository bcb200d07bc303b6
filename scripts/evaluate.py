"""The command `onnuri evaluate`."""

import need_onnuri  # noqa: F401

from onnuri.cli.evaluate import main

if __name__ == "__main__":
    main()
