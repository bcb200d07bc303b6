"""The command `onnuri plan`."""

from onnuri.cli.plan import main

if __name__ == "__main__":
    main()
