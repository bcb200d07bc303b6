"""The command `onnuri pretrain`."""

from onnuri.cli.pretrain import main

if __name__ == "__main__":
    main()
