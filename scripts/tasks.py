"""The command `onnuri tasks`."""

import need_onnuri  # noqa: F401

from onnuri.cli.tasks import main

if __name__ == "__main__":
    main()
