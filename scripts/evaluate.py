"""The command `onnuri evaluate`."""

from onnuri.cli.evaluate import main

if __name__ == "__main__":
    main()
