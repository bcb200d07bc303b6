"""The commands: one module each, `onnuri NAME` and `python -m onnuri.cli.NAME`."""
