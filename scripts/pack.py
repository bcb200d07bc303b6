"""The command `onnuri pack`."""

from onnuri.cli.pack import main

if __name__ == "__main__":
    main()
