"""The command `onnuri tokenizer`."""

from onnuri.cli.tokenizer import main

if __name__ == "__main__":
    main()
