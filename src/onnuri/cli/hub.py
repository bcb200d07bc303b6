"""A place to share models and datasets, for stock Hugging Face clients: HF_ENDPOINT and HF_TOKEN are all
that they need.

    onnuri hub data=DIR
    onnuri hub admin create data=DIR name=NAME         # the first administrator
    onnuri hub collect data=DIR                        # delete what no repository needs

Commands of clients, consent, air-gapped networks: docs/hub.md
"""

import inspect
import sys

from onnuri.config import run_cli
from onnuri.config.parts import Parts, run_part
from onnuri.hub.config import CollectConfig, CreateAdminConfig, HubConfig


def run(config: HubConfig) -> None:
    """Serve."""
    from onnuri.hub.server import serve

    serve(config)


def collect(config: CollectConfig) -> None:
    """Delete and print."""
    from onnuri.hub.collect import collect_now

    collect_now(config)


def create_admin(config: CreateAdminConfig) -> None:
    """Make and print."""
    from onnuri.hub.administration import create_administrator

    create_administrator(config)


ADMIN: Parts = {
    "create": (CreateAdminConfig, create_admin, "Make an administrator; the password is shown once."),
}
ADMIN_HELP = """Accounts, where no page can be reached yet.

    onnuri hub admin create data=DIR name=NAME"""

COLLECT_HELP = """Delete contents that no repository has any more. A hub that runs does it once a day.

    onnuri hub collect data=DIR"""


def main() -> None:
    """The command."""
    part = sys.argv[1] if len(sys.argv) > 1 else ""
    if part == "admin":
        del sys.argv[1]
        run_part("hub admin", ADMIN, lambda: ADMIN_HELP)
    elif part == "collect":
        del sys.argv[1]
        run_cli(CollectConfig, collect, COLLECT_HELP, command="hub collect")
    else:
        run_cli(HubConfig, run, inspect.cleandoc(__doc__ or ""), command="hub")


if __name__ == "__main__":
    main()
