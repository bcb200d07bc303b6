"""Everything that an installation without a network needs, in one folder.

    onnuri bundle output=DIR
    onnuri bundle output=DIR python=3.12 platform=manylinux_2_34_x86_64 key=PRIVATE_KEY.pem

Wheels, source, install.sh, SBOM and hashes: about 1 GB. It needs a package index and a C++ compiler.
Interrupted, the same command resumes. Where there is no network: sh DIR/install.sh TARGET
"""

from onnuri.bundle.config import BundleConfig
from onnuri.config import run_cli


def run(config: BundleConfig) -> None:
    """Make it."""
    from onnuri.bundle.build import bundle

    bundle(config)


def main() -> None:
    """The command."""
    run_cli(BundleConfig, run, __doc__, command="bundle")


if __name__ == "__main__":
    main()
