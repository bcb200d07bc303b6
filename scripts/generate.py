"""The command `onnuri generate`."""

import need_onnuri  # noqa: F401

from onnuri.cli.generate import main

if __name__ == "__main__":
    main()
