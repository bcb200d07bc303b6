"""The command `onnuri import`."""

from onnuri.cli.import_model import main

if __name__ == "__main__":
    main()
