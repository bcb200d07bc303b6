"""The command `onnuri quality`."""

import need_onnuri  # noqa: F401

from onnuri.cli.quality import main

if __name__ == "__main__":
    main()
