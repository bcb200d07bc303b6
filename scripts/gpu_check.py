"""The command `onnuri gpu_check`."""

import need_onnuri  # noqa: F401

from onnuri.cli.gpu_check import main

if __name__ == "__main__":
    main()
