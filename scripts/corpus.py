"""The command `onnuri corpus`."""

from onnuri.cli.corpus import main

if __name__ == "__main__":
    main()
