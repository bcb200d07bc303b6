"""`onnuri pretrain` with an architecture of one's own: one line makes it known."""

from onnuri.cli.pretrain import main
from onnuri.model.spec import ARCHITECTURES

ARCHITECTURES["toy"] = "toy"  # the file beside this one

if __name__ == "__main__":
    main()
