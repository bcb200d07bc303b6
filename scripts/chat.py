"""The command `onnuri chat`."""

import need_onnuri  # noqa: F401

from onnuri.cli.chat import main

if __name__ == "__main__":
    main()
