"""The command `onnuri tokenizer`."""

import need_onnuri  # noqa: F401

from onnuri.cli.tokenizer import main

if __name__ == "__main__":
    main()
