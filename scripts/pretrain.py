"""The command `onnuri pretrain`."""

import need_onnuri  # noqa: F401

from onnuri.cli.pretrain import main

if __name__ == "__main__":
    main()
