"""`onnuri challenge init`: pin text and budget, seal the held-out text."""

from __future__ import annotations

import logging
from dataclasses import asdict, replace
from pathlib import Path

from onnuri import __version__
from onnuri.base import manifest
from onnuri.base.copying import copy_contents
from onnuri.base.errors import UserError, system_error
from onnuri.base.manifest import Manifest
from onnuri.base.provenance import code_version
from onnuri.challenge import leaks, sealed_text
from onnuri.challenge.config import InitConfig
from onnuri.challenge.folder import (
    CHALLENGE_FILE,
    ENTRIES,
    FORMAT,
    OPENED,
    PRACTICE_FILE,
    RESULTS,
    TOKENS,
    Challenge,
    add,
)
from onnuri.challenge.tracks import CUSTOM, TRACKS, Track
from onnuri.corpus.texts import Text, read_texts

log = logging.getLogger(__name__)

FEW_CHARACTERS = 20_000
"""Of held-out text in a language."""


def create(config: InitConfig) -> Challenge:
    """Write the challenge and, apart from it, the secret.

    Raises UserError for shards over the budget or of another corpus, and for held-out text that is not in
    both languages, or stands in the training text or in the practice text.
    """
    output, secret = Path(config.output), Path(config.secret)
    for name, folder in (("output", output), ("secret", secret)):
        if folder.exists() and manifest.any_content(folder):
            raise UserError(f"{name}={folder} exists; choose another folder")
    for option in ("tokens", "corpus"):
        if output.resolve().is_relative_to(Path(getattr(config, option)).resolve()):
            raise UserError(
                f"output={output} lies in {option}={getattr(config, option)}; choose another folder"
            )
    if secret.resolve().is_relative_to(output.resolve()):
        raise UserError(f"secret={secret} lies in output={output} and would be published with it")
    track = chosen_track(config)
    tokens = manifest.read(config.tokens, "tokens")
    manifest.verify(config.tokens, tokens)
    if tokens.counts["train"]["tokens"] > track.unique_tokens:
        raise UserError(
            f"tokens={config.tokens} has {tokens.counts['train']['tokens']:,} training tokens, the track "
            f"{track.name} allows {track.unique_tokens:,}; pack a smaller corpus"
        )
    corpus = manifest.read_whole(config.corpus, "corpus")
    if tokens.inputs.get("corpus") != corpus.identity:
        raise UserError(f"tokens={config.tokens} is not packed from corpus={config.corpus}")
    practice = read_texts(config.corpus, "text", 0, "corpus")
    heldout = read_texts(config.heldout, "text", 0, "heldout")
    sealed_text.check_languages(practice, f"the held-out part of corpus={config.corpus}")
    sealed_text.check_languages(heldout, f"heldout={config.heldout}")
    describe(heldout)
    check_unseen(heldout, practice, Path(config.tokens))
    try:
        secret.mkdir(parents=True, exist_ok=True)
        secret.chmod(0o700)
        commitment = sealed_text.seal(secret, heldout)
        return write(config, track, tokens, practice, commitment)
    except OSError as error:
        raise system_error(error, output) from None


def chosen_track(config: InitConfig) -> Track:
    """The track that the options name."""
    if config.track != CUSTOM:
        return TRACKS[config.track]
    return replace(
        TRACKS["ten_minutes"],
        name=CUSTOM,
        flops=int(config.flops),
        unique_tokens=config.unique_tokens,
        parameters=config.parameters,
        checkpoints=config.checkpoints,
        about="",
    )


def describe(heldout: list[Text]) -> None:
    """Say what will be sealed, as nothing of it can be changed later; warn of what looks like a mistake."""
    for language in sealed_text.LANGUAGES:
        texts = [text.text for text in heldout if text.lang == language]
        characters = sum(map(len, texts))
        log.info(f"held-out text in {language}: {len(texts):,} documents, {characters:,} characters")
        if characters < FEW_CHARACTERS:
            log.warning(f"so little text in {language} gives scores of wide intervals")
    if other := sum(text.lang not in sealed_text.LANGUAGES for text in heldout):
        log.warning(f"{other:,} held-out documents are in neither language: no score reads them")
    if double := len(heldout) - len({text.text for text in heldout}):
        log.warning(f"{double:,} held-out documents stand in it twice or more, and count as often")


def check_unseen(heldout: list[Text], practice: list[Text], tokens: Path) -> None:
    """Raise UserError if held-out text stands in what entrants train or practise on."""
    seen = leaks.leaked_documents(heldout, leaks.texts_of_shards(tokens, tokens / "tokenizer"))
    known = leaks.leaked_documents(heldout, (text.text for text in practice))
    for what, numbers in (("training", seen), ("practice", known)):
        for number in numbers:
            start = " ".join(heldout[number].text[:80].split())
            log.warning(f"held-out document {number + 1} stands in the {what} text: {start!r}")
    if either := {*seen, *known}:
        raise UserError(
            f"{len(either)} of {len(heldout)} held-out documents stand in the training text ({len(seen)}) "
            f"or the practice text ({len(known)}); remove those that the lines above name"
        )


def write(
    config: InitConfig, track: Track, tokens: Manifest, practice: list[Text], commitment: str
) -> Challenge:
    """The folder to publish."""
    from onnuri.evaluate import suite

    output = Path(config.output)
    for name in (ENTRIES, RESULTS):
        (output / name).mkdir(parents=True, exist_ok=True)
    copy_contents(Path(config.tokens), output / TOKENS)
    sealed_text.write_texts(output / PRACTICE_FILE, practice)
    (output / ".gitattributes").write_text(
        "* -text\n"
    )  # git must not convert line endings: hashes pin the bytes
    content = {
        "format": FORMAT,
        "title": config.title,
        "track": asdict(track),
        "tokens": tokens.identity,
        "corpus": tokens.inputs["corpus"],
        "tokenizer": tokens.counts["tokenizer_sha256"],
        "training_tokens": tokens.counts["train"]["tokens"],
        "practice": manifest.hash_file(output / PRACTICE_FILE),
        "heldout": commitment,
        "kopairs_items": config.kopairs_items,
        "kopairs": suite.load(suite.KOPAIRS, max_items=config.kopairs_items).protocol,
        "producer": f"onnuri {__version__}",
        "code": code_version(),
    }
    made = Challenge(output, content)
    add(output, OPENED, {"challenge": made.identity, "heldout": commitment})
    manifest.write_json(output / CHALLENGE_FILE, content)
    log.info(f"{output}: track {track.name}, {track.flops:.3g} FLOPs, {track.unique_tokens:,} tokens")
    log.info(f"challenge {made.identity}")
    log.info(f"held-out text {commitment}; it is in {config.secret}: keep that folder to yourself")
    return made
