"""The command `onnuri export`."""

import need_onnuri  # noqa: F401

from onnuri.cli.export import main

if __name__ == "__main__":
    main()
