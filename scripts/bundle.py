"""The command `onnuri bundle`."""

from onnuri.cli.bundle import main

if __name__ == "__main__":
    main()
