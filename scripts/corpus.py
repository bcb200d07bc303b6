"""The command `onnuri corpus`."""

import need_onnuri  # noqa: F401

from onnuri.cli.corpus import main

if __name__ == "__main__":
    main()
