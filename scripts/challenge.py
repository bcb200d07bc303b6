"""The command `onnuri challenge`."""

import need_onnuri  # noqa: F401

from onnuri.cli.challenge import main

if __name__ == "__main__":
    main()
