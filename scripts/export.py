"""The command `onnuri export`."""

from onnuri.cli.export import main

if __name__ == "__main__":
    main()
