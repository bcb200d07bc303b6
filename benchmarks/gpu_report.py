"""Turn the results of scripts/gpu_check.py into the tables of docs/gpu.md, and into what they change.

    python benchmarks/gpu_report.py gpu-A.jsonl gpu-B.jsonl             # write the tables
    python benchmarks/gpu_report.py gpu-A.jsonl gpu-B.jsonl --update    # and tiles, choices, the planner
    python benchmarks/gpu_report.py gpu-A.jsonl --document docs/gpu-h200.md    # another device's page

Without files the tables say what is to be measured. Results of a rehearsal go into another checkout only
(--root): they are no measurements.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from onnuri.base.errors import UserError
from onnuri.gpu.report import block, rehearsed, write_block
from onnuri.gpu.results import read
from onnuri.gpu.update import update

REPOSITORY = Path(__file__).resolve().parents[1]
GPU_DOCS = "docs/gpu.md"
AFTERWARDS = """\
rerun: benchmarks/kernel_budgets.py --update and pytest tests/kernels (tiles, choices);
       pytest tests/plan, and the speed table of docs/planning.md (efficiency, planner's constants)"""


def main() -> int:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("results", type=Path, nargs="*")
    parser.add_argument(
        "--update", action="store_true", help="also write tiles, choices and planner's numbers"
    )
    parser.add_argument(
        "--document", default=GPU_DOCS, help="file with the tables, one for each device (docs/gpu.md)"
    )
    parser.add_argument("--root", type=Path, default=REPOSITORY, help="checkout to write into")
    options = parser.parse_args()
    try:
        calls = read(options.results)
        if options.results and not any(call.find() for call in calls):
            names = ", ".join(map(str, options.results))
            raise UserError(f"no result is in {names}; {options.document} stays as it is")
        if rehearsed(calls) and options.root.resolve() == REPOSITORY:
            raise UserError(
                "these results are of a rehearsal and measure nothing; give --root of another checkout"
            )
        write_block(options.root / options.document, calls)
        print(block(calls))
        changes = update(calls, options.root) if options.update else []
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        names = ", ".join(map(str, options.results))
        print(f"error: {names}: a result is not as expected ({error!r}); measure again", file=sys.stderr)
        return 2
    if options.update:
        print("\n" + "\n".join(changes or ["nothing to update"]))
    if changes:
        print(AFTERWARDS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
