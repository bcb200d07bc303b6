"""A place to share models and datasets, for stock Hugging Face clients: HF_ENDPOINT and HF_TOKEN are all
that they need.

    onnuri hub data=DIR
    onnuri hub admin create data=DIR name=NAME         # the first administrator
    onnuri hub verify data=DIR [public_key=KEY.pem]    # is the audit whole?
    onnuri hub review data=DIR month=2026-11 output=FILE.csv
    onnuri hub export|have|import ...                  # to and from hubs without a network between them
    onnuri hub backup|restore ...                      # the whole hub
    onnuri hub collect data=DIR                        # delete what no repository needs

Commands of clients, consent, air-gapped networks: docs/hub.md
"""

import inspect
import sys

from onnuri.base.errors import optional_package
from onnuri.config import run_cli
from onnuri.config.parts import Parts, run_part
from onnuri.hub.bundles.config import BackupConfig, ExportConfig, HaveConfig, ImportConfig, RestoreConfig
from onnuri.hub.config import CollectConfig, CreateAdminConfig, HubConfig, ReviewConfig, VerifyConfig


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


def verify(config: VerifyConfig) -> int:
    """Print what does not match."""
    with optional_package("hub", "onnuri hub"):
        from onnuri.hub.review import verify

    problems = verify(config)
    print(*problems, sep="\n", end="\n" if problems else "")
    return 1 if problems else 0


def review(config: ReviewConfig) -> None:
    """Write the table."""
    with optional_package("hub", "onnuri hub"):
        from onnuri.hub.review import review

    review(config)


ADMIN: Parts = {
    "create": (CreateAdminConfig, create_admin, "Make an administrator; the password is shown once."),
}
ADMIN_HELP = """Accounts, where no page can be reached yet.

    onnuri hub admin create data=DIR name=NAME"""


def export(config: ExportConfig) -> None:
    """Write a bundle."""
    with optional_package("hub", "onnuri hub export"):
        from onnuri.hub.bundles.export import export_bundle
    export_bundle(config)


def have(config: HaveConfig) -> None:
    """List what is here."""
    with optional_package("hub", "onnuri hub have"):
        from onnuri.hub.bundles.export import write_have
    write_have(config)


def import_(config: ImportConfig) -> None:
    """Take a bundle over."""
    with optional_package("hub", "onnuri hub import"):
        from onnuri.hub.bundles.take import import_bundle
    import_bundle(config)


def backup(config: BackupConfig) -> None:
    """Copy a hub."""
    with optional_package("hub", "onnuri hub backup"):
        from onnuri.hub.bundles.backup import backup as write
    write(config)


def restore(config: RestoreConfig) -> None:
    """Make a hub from its copy."""
    with optional_package("hub", "onnuri hub restore"):
        from onnuri.hub.bundles.backup import restore as make
    make(config)


PARTS: Parts = {
    "verify": (VerifyConfig, verify, "Check that no line of the audit was changed, cut off or left out."),
    "review": (ReviewConfig, review, "Write a month of the audit as a table, for the monthly review."),
    "collect": (CollectConfig, collect, "Delete what no repository needs, as a hub that runs does daily."),
    "export": (ExportConfig, export, "Write repositories into a signed folder for another hub."),
    "have": (HaveConfig, have, "Sign a list of what this hub has, so that others leave it out."),
    "import": (ImportConfig, import_, "Check a folder that another hub signed, and take it over."),
    "backup": (BackupConfig, backup, "Copy the whole hub into a folder, while it runs."),
    "restore": (RestoreConfig, restore, "Make a hub from a backup; every content is checked."),
}


def main() -> None:
    """The command."""
    part = sys.argv[1] if len(sys.argv) > 1 else ""
    if part == "admin":
        del sys.argv[1]
        run_part("hub admin", ADMIN, lambda: ADMIN_HELP)
    elif part in PARTS:
        run_part("hub", PARTS, lambda: "")
    else:
        run_cli(HubConfig, run, inspect.cleandoc(__doc__ or ""), command="hub")


if __name__ == "__main__":
    main()
