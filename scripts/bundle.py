"""The command `onnuri bundle`."""

import need_onnuri  # noqa: F401

from onnuri.cli.bundle import main

if __name__ == "__main__":
    main()
