"""The command `onnuri tune`."""

import need_onnuri  # noqa: F401

from onnuri.cli.tune import main

if __name__ == "__main__":
    main()
