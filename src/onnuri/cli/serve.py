"""Serve models over HTTP: an API for OpenAI's clients, and a chat page.

    onnuri serve model=MODEL_DIR
    onnuri serve model=MODEL_DIR models=[OTHER_DIR] port=8080 state=DIR
    onnuri serve model=ORG/NAME hub=URL                    # from a hub: docs/hub.md
    onnuri serve backend=vllm url=http://127.0.0.1:8001
    onnuri serve keys create state=DIR name="김 주무관"     # also: keys list, keys revoke
    onnuri serve erase state=DIR request=ID                # from the log of texts that log=masked writes

SIGTERM and Ctrl-C let answers end, SIGHUP reads the models anew. Fields and limits: docs/serving.md
"""

import inspect
import sys
from dataclasses import replace

from onnuri.config import run_cli
from onnuri.config.parts import Parts, run_part
from onnuri.serve.config import CreateKeyConfig, EraseConfig, ListKeysConfig, RevokeKeyConfig, ServeConfig


def run(config: ServeConfig) -> None:
    """Serve."""
    from onnuri.hf.fetch import model_folder
    from onnuri.serve.server import serve

    def fetched(model: str, option: str) -> str:
        name, equals, folder = model.rpartition("=")
        return name + equals + model_folder(folder, config.hub, option)

    models = [fetched(each, "models") for each in config.models]
    serve(replace(config, model=model_folder(config.model, config.hub), models=models))


def create_key(config: CreateKeyConfig) -> None:
    """Make and print."""
    from pathlib import Path

    from onnuri.serve.keys import create

    key, secret = create(Path(config.state), config.name, config.requests_per_minute)
    print(f"key {key.id} for {key.name}; it is shown only now:")
    print(secret)


def list_keys(config: ListKeysConfig) -> None:
    """Print."""
    from onnuri.serve.report import key_table

    print(key_table(config.state))


def revoke_key(config: RevokeKeyConfig) -> None:
    """End."""
    from pathlib import Path

    from onnuri.serve.keys import revoke

    revoke(Path(config.state), config.id)
    print(f"key {config.id} is revoked")


def run_erase(config: EraseConfig) -> int:
    """Erase; the status is 1 if there was nothing."""
    from pathlib import Path

    from onnuri.serve.keys import check_state
    from onnuri.serve.masked_log import erase

    check_state(Path(config.state))
    erased = erase(Path(config.state), config.request)
    print(f"{erased} record(s) of request {config.request} erased")
    return 0 if erased else 1


KEYS: Parts = {
    "create": (CreateKeyConfig, create_key, "Make an API key; it is shown once."),
    "list": (ListKeysConfig, list_keys, "Keys, and what was used with each."),
    "revoke": (RevokeKeyConfig, revoke_key, "End a key, at once also in a server that runs."),
}
ERASE = "Erase the texts of a request from the masked log."
KEYS_HELP = """Keys of the server: their hashes are in STATE/keys.json.

    onnuri serve keys create state=DIR name=NAME requests_per_minute=60
    onnuri serve keys list state=DIR
    onnuri serve keys revoke state=DIR id=ID"""


def main() -> None:
    """The command."""
    part = sys.argv[1] if len(sys.argv) > 1 else ""
    if part in ("keys", "erase"):
        del sys.argv[1]
    if part == "keys":
        run_part("serve keys", KEYS, lambda: KEYS_HELP)
    elif part == "erase":
        run_cli(EraseConfig, run_erase, ERASE, command="serve erase")
    else:
        run_cli(ServeConfig, run, inspect.cleandoc(__doc__ or ""), command="serve")


if __name__ == "__main__":
    main()
