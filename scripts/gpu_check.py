"""The command `onnuri gpu_check`."""

from onnuri.cli.gpu_check import main

if __name__ == "__main__":
    main()
