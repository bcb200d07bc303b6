"""The command `onnuri generate`."""

from onnuri.cli.generate import main

if __name__ == "__main__":
    main()
