"""The command `onnuri pack`."""

import need_onnuri  # noqa: F401

from onnuri.cli.pack import main

if __name__ == "__main__":
    main()
