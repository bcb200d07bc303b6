"""The command `onnuri ledger`."""

import need_onnuri  # noqa: F401

from onnuri.cli.ledger import main

if __name__ == "__main__":
    main()
