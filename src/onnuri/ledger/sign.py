"""Signing a run or an exported model, offline and with a key of one's own.

The ledger shows that a run was not changed; a signature shows who signed it. Sigstore's own way, an
account and a public log instead of a key, would need the network.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.ledger.config import SignConfig, VerifyConfig
from onnuri.ledger.keys import load_private_key
from onnuri.ledger.signature import NOT_SIGNED, files_of, need_package
from onnuri.ledger.verify import is_model, verify
from onnuri.run.chain import Ledger, read
from onnuri.run.locate import run_directory
from onnuri.run.lock import lock_run_dir
from onnuri.run.run_file import SIGNATURE_FILE

log = logging.getLogger(__name__)


def sign(config: SignConfig) -> Path:
    """Write RUN_DIR/model.sig, and return its path.

    Raises UserError if the folder is not as its ledger or manifest says, or while its run is going on.
    """
    folder, key = run_directory(config.run), Path(config.key)
    need_package()
    from model_signing import hashing, signing

    if key.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"key={key} lies in {folder} and would be handed out with it; put it elsewhere")
    signer = signing.Config()
    load_private_key(key)  # for its errors
    signer.use_elliptic_key_signer(private_key=key)
    try:
        with contextlib.ExitStack() as cleanup:
            if not is_model(folder):
                read(folder)
                cleanup.enter_context(lock_run_dir(folder))
                Ledger(folder).close()  # drops a line that a crash has cut, as the run would
            problems = verify(VerifyConfig(run=config.run, data=config.data))
            for problem in problems:
                log.info(problem)
            if problems:
                raise UserError(f"{folder} is not signed, as it is not what it says it is")
            signer.set_hashing_config(
                hashing.Config().set_ignored_paths(paths=NOT_SIGNED, ignore_git_paths=False)
            )
            temporary = folder / f"{SIGNATURE_FILE}.tmp"
            signer.sign(folder, temporary)
            manifest.sync(temporary)
            temporary.replace(folder / SIGNATURE_FILE)
            manifest.sync(folder)
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"{folder} cannot be signed: {error}") from None
    except OSError as error:
        raise UserError(f"{error.filename or folder}: {error.strerror or error}") from None
    log.info(f"signed with {key}: {folder / SIGNATURE_FILE}, {len(files_of(folder)):,} files")
    return folder / SIGNATURE_FILE
