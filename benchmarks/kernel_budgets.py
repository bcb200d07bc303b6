"""What do the GPU kernels compile to, and is it within budget? Needs no GPU.

    python benchmarks/kernel_budgets.py              # compare with tests/kernels/budgets.json
    python benchmarks/kernel_budgets.py --update     # write it
    python benchmarks/kernel_budgets.py --changed    # nothing to do for the kernels that the budgets are of

Every kernel is compiled to machine code in the configuration that the code chooses, for sm_80, sm_90,
sm_100 and sm_120. Spilled registers, too much shared memory, a product without matrix instructions, or
anything above the budget ends with status 1 and one line each. Budgets hold for one version of Triton.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from dataclasses import asdict
from pathlib import Path

import triton

from onnuri.kernels.verification.budgets import CAPABILITIES, measure, violations
from onnuri.kernels.verification.compiled import Resources

REPOSITORY = Path(__file__).parents[1]
BUDGETS = REPOSITORY / "tests" / "kernels" / "budgets.json"
SOURCES = ("kernels/triton/*", "kernels/verification/budgets.py", "kernels/verification/compiled.py")
"""What decides what is compiled, and what for."""


def source_hash() -> str:
    """Of all files that a build depends on, beside Triton."""
    digest = hashlib.sha256()
    for pattern in SOURCES:
        for path in sorted((REPOSITORY / "src" / "onnuri").glob(pattern)):
            if path.is_file():
                digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def table(found: dict[str, Resources]) -> str:
    """A Markdown table."""
    lines = ["| kernel | registers | spills | local bytes | shared memory | matrix instructions |"]
    lines.append("| --- | --: | --: | --: | --: | --: |")
    for key, each in sorted(found.items(), key=lambda item: (len(item[0].split()[0]), item[0])):
        lines.append(
            f"| {key} | {each.registers} | {each.spills} | {each.local_bytes} | {each.shared_bytes:,} "
            f"| {each.matrix_instructions} |"
        )
    return "\n".join(lines)


def main() -> int:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--budgets", type=Path, default=BUDGETS)
    parser.add_argument("--update", action="store_true", help="write what was found as the new budget")
    parser.add_argument("--changed", action="store_true", help="compile only if the kernels have changed")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--capabilities", type=int, nargs="+", choices=CAPABILITIES, default=CAPABILITIES)
    options = parser.parse_args()
    if options.update and set(options.capabilities) != set(CAPABILITIES):
        parser.error("--update needs all capabilities")
    recorded = json.loads(options.budgets.read_text()) if options.budgets.exists() else {}
    source = source_hash()
    if options.changed and recorded.get(triton.__version__, {}).get("source") == source:
        print(f"the builds of these kernels by triton {triton.__version__} are known")
        found = {key: Resources(**each) for key, each in recorded[triton.__version__]["builds"].items()}
        options.capabilities = list(CAPABILITIES)
    else:
        found = measure(options.capabilities, options.processes)
        print(table(found))
    if options.update:
        builds = {key: asdict(each) for key, each in sorted(found.items())}
        recorded[triton.__version__] = {"source": source, "builds": builds}
        options.budgets.write_text(json.dumps(recorded, indent=1) + "\n")
    if triton.__version__ not in recorded:
        known = ", ".join(recorded)
        print(f"no budget for triton {triton.__version__}, only for {known}; run with --update")
        return 1
    budgets = recorded[triton.__version__]["builds"]
    names = tuple(f"sm_{capability} " for capability in options.capabilities)
    lines = violations(found, {key: budget for key, budget in budgets.items() if key.startswith(names)})
    print("\n".join(lines) if lines else f"all {len(found)} builds within budget")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
