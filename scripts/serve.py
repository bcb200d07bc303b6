"""The command `onnuri serve`."""

import need_onnuri  # noqa: F401

from onnuri.cli.serve import main

if __name__ == "__main__":
    main()
