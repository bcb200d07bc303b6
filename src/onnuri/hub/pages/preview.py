"""The first rows of a Parquet file.

It is from outside, so a process of its own reads it, with little memory and little time.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from onnuri.hub.errors import HubError
from onnuri.hub.git import Entry
from onnuri.hub.hub import Hub

ROWS, COLUMNS, CHARACTERS = 20, 30, 300
LARGEST = 4 << 30
"""Bytes of a file."""
AT_ONCE = threading.BoundedSemaphore(2)
SECONDS, MEMORY = 10, 2 << 30
"""Of the process that reads; address space, of which little is used."""
PROGRAM = f"""
import json, resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY}))
resource.setrlimit(resource.RLIMIT_CPU, ({SECONDS}, {SECONDS}))
import pyarrow, pyarrow.parquet
pyarrow.set_cpu_count(1)
pyarrow.set_io_thread_count(1)
file = pyarrow.parquet.ParquetFile(sys.argv[1], memory_map=False, pre_buffer=False)
names = list(dict.fromkeys(file.schema_arrow.names))
shown = names[:{COLUMNS}]
rows = []
for batch in file.iter_batches({ROWS}, columns=shown, use_threads=False):
    rows = [[str(row[name])[:{CHARACTERS}] for name in shown] for row in batch.to_pylist()]
    break
print(json.dumps([[name[:200] for name in shown], rows, file.metadata.num_rows, len(names)]))
"""


def first_rows(hub: Hub, entry: Entry) -> dict[str, Any] | None:
    """Names of columns, texts of cells, rows and columns in all; None if the file cannot be shown."""
    path: Path | None = hub.blobs.local(entry.sha256)
    if path is None or entry.size > LARGEST:
        return None
    if not AT_ONCE.acquire(timeout=SECONDS):
        raise HubError(503, "other previews are being made; try again in a moment")
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", PROGRAM, str(path)],
            capture_output=True,
            timeout=3 * SECONDS,
            check=True,
            env={"OMP_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"},
        )
        names, rows, num_rows, num_columns = json.loads(done.stdout)
    except (subprocess.SubprocessError, ValueError):
        return None
    except OSError as error:
        raise HubError(503, "the preview cannot be made now") from error
    finally:
        AT_ONCE.release()
    return {"names": names, "rows": rows, "num_rows": num_rows, "num_columns": num_columns}
