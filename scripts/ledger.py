"""The command `onnuri ledger`."""

from onnuri.cli.ledger import main

if __name__ == "__main__":
    main()
