"""The command `onnuri quality`."""

from onnuri.cli.quality import main

if __name__ == "__main__":
    main()
