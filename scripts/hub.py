"""The command `onnuri hub`."""

import need_onnuri  # noqa: F401

from onnuri.cli.hub import main

if __name__ == "__main__":
    main()
