"""What safetensors says of a disk that takes no more, as the OSError that everything else raises."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def os_errors(path: Path) -> Iterator[None]:
    """Around `save_file(..., path)`: its SafetensorError for a full disk becomes an OSError."""
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        if not number:
            raise
        code = int(number[1])
        raise OSError(code, os.strerror(code), str(path)) from None
