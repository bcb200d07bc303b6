"""The command `onnuri plan`."""

import need_onnuri  # noqa: F401

from onnuri.cli.plan import main

if __name__ == "__main__":
    main()
