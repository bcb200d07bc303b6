"""The command `onnuri import`."""

import need_onnuri  # noqa: F401

from onnuri.cli.import_model import main

if __name__ == "__main__":
    main()
