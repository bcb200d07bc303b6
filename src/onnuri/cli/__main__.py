"""`python -m onnuri.cli COMMAND ...`."""

from onnuri.cli.main import main

if __name__ == "__main__":
    main()
