"""Signatures over runs and exported models: offline, in a standard format; what breaks them is named."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from onnuri.base.errors import UserError
from onnuri.export.card.config import CardConfig
from onnuri.export.card.write import card
from onnuri.export.config import ExportConfig
from onnuri.export.huggingface import export
from onnuri.ledger.config import SignConfig
from onnuri.ledger.sign import sign
from onnuri.ledger.signature import check_signature
from onnuri.run.checkpoints import list_checkpoints
from tests.conftest import REPOSITORY, SCRIPTS, pretrain, run_command
from tests.export.card.made_model import task, write_evaluation

pytestmark = pytest.mark.extra("sign")
Sample = Callable[[str], str]
OFFLINE = """
import os, runpy, sys
def refuse(event, details):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.gethostbyname"):
        raise SystemExit(f"the network was asked: {event} {details}")
sys.addaudithook(refuse)
sys.argv = sys.argv[1:]
sys.path[0] = os.path.dirname(sys.argv[0])  # as Python does for a script
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def write_key(folder: Path, name: str, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    """NAME.pem and NAME.pub.pem."""
    form = serialization.PrivateFormat.TraditionalOpenSSL
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    (folder / f"{name}.pem").write_bytes(private)
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    public = key.public_key().public_bytes(serialization.Encoding.PEM, spki)
    (folder / f"{name}.pub.pem").write_bytes(public)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    write_key(folder, "ours", ec.generate_private_key(ec.SECP256R1()))
    write_key(folder, "other", ec.generate_private_key(ec.SECP384R1()))
    write_key(folder, "rsa", rsa.generate_private_key(65537, 2048))
    return folder


@pytest.fixture(scope="session")
def signed_run(undisturbed: Path, keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = shutil.copytree(undisturbed, tmp_path_factory.mktemp("signed") / "run")
    status, output = ledger("sign", folder, f"key={keys / 'ours.pem'}")
    assert (status, f"signed with {keys / 'ours.pem'}: {folder / 'model.sig'}" in output) == (0, True), (
        output
    )
    return folder


@pytest.fixture
def run_dir(signed_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(signed_run, tmp_path / "run")


def ledger(command: str, folder: Path, *words: str) -> tuple[int, str]:
    """Run the command in a process that ends when anything asks for the network."""
    line = [sys.executable, "-c", OFFLINE, str(SCRIPTS / "ledger.py"), command, f"run={folder}", *words]
    result = subprocess.run(line, capture_output=True, text=True, check=False)
    assert "Traceback" not in result.stderr, result.stderr
    return result.returncode, result.stdout + result.stderr


def problems(folder: Path, key: Path) -> list[str]:
    """The lines of a verification that fails."""
    status, output = ledger("verify", folder, f"public_key={key}")
    assert status == 1, output
    return output.splitlines()


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)


def test_a_signed_run(run_dir: Path, keys: Path) -> None:
    status, output = ledger("verify", run_dir, f"public_key={keys / 'ours.pub.pem'}")
    assert status == 0, output
    assert f"{run_dir / 'model.sig'}: " in output
    assert f"all as signed with the key of {keys / 'ours.pub.pem'}" in output
    assert ledger("verify", run_dir)[0] == 0, "a signature changes nothing for those who do not ask for it"
    bundle = json.loads((run_dir / "model.sig").read_text())
    assert "sigstore.bundle" in bundle["mediaType"]


def test_the_standard_tool_agrees(run_dir: Path, keys: Path) -> None:
    words = [sys.executable, "-m", "model_signing", "verify", "key", str(run_dir)]
    words += ["--signature", str(run_dir / "model.sig"), "--public_key"]
    result = subprocess.run(
        [*words, str(keys / "ours.pub.pem")], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    flip_a_bit(next(list_checkpoints(run_dir)[0].glob("*.safetensors")))
    result = subprocess.run(
        [*words, str(keys / "ours.pub.pem")], capture_output=True, text=True, check=False
    )
    assert result.returncode != 0


def test_what_breaks_a_signature_is_named(run_dir: Path, signed_run: Path, keys: Path) -> None:
    public = keys / "ours.pub.pem"

    def fresh() -> Path:
        shutil.rmtree(run_dir)
        return shutil.copytree(signed_run, run_dir)

    other = keys / "other.pub.pem"
    assert problems(run_dir, other) == [
        f"{run_dir / 'model.sig'} was not made with the key of {other}, or was changed since"
    ]

    victim = run_dir / "loss.png"  # nothing but the signature knows it
    flip_a_bit(victim)
    assert problems(run_dir, public) == [f"{victim} is not the file that was signed"]

    victim = next(list_checkpoints(fresh())[0].glob("*.safetensors"))
    flip_a_bit(victim)
    assert f"{victim} is not the file that was signed" in problems(run_dir, public)

    victim = fresh() / "ledger.jsonl"
    text = victim.read_text().splitlines(keepends=True)
    victim.write_text("".join(text[:-1]))  # shorter is no older state
    assert f"{victim} is not the file that was signed" in problems(run_dir, public)

    (fresh() / "notes.txt").write_text("mine")
    assert problems(run_dir, public) == [f"{run_dir / 'notes.txt'} was not there when this was signed"]

    (fresh() / "data" / "tokenizer" / "tokenizer_config.json").unlink()
    missing = run_dir / "data" / "tokenizer" / "tokenizer_config.json"
    assert problems(run_dir, public) == [f"{missing} was signed and is missing"]

    shutil.rmtree(list_checkpoints(fresh())[-1])
    assert problems(run_dir, public) == [
        f"{run_dir / 'checkpoints' / 'step-0000005'} was signed and is missing"
    ]

    (fresh() / "model.sig").unlink()
    assert problems(run_dir, public) == [f"{run_dir / 'model.sig'} is missing: nobody has signed this"]

    (run_dir / "model.sig").write_text("{}")
    assert problems(run_dir, public) == [
        f"{run_dir / 'model.sig'} is damaged: it is no signature that can be read"
    ]

    bundle = json.loads((fresh() / "model.sig").read_text())
    payload = bundle["dsseEnvelope"]["payload"]
    bundle["dsseEnvelope"]["payload"] = (
        payload[:400] + ("A" if payload[400] != "A" else "B") + payload[401:]
    )
    (run_dir / "model.sig").write_text(json.dumps(bundle))
    assert problems(run_dir, public) == [
        f"{run_dir / 'model.sig'} was not made with the key of {public}, or was changed since"
    ]


def test_a_run_that_goes_on_after_it_was_signed(run_dir: Path, sample: Sample, keys: Path) -> None:
    public, checkpoints = keys / "ours.pub.pem", run_dir / "checkpoints"
    words = ["engine.precision=fp32", "train.checkpoint_every=5", "train.keep_checkpoints=2"]
    pretrain(2, sample, run_dir, "train.steps=15", *words)
    lines = problems(run_dir, public)
    assert f"{run_dir / 'model.sig'} is of an older state: ledger.jsonl had 20 lines then" in lines[0]
    assert lines[1:] == [f"{checkpoints / 'step-0000015'} was not there when this was signed"]

    flip_a_bit(next((checkpoints / "step-0000012").glob("*.safetensors")))
    assert any(
        "step-0000012" in line and "not the file that was signed" in line
        for line in problems(run_dir, public)
    )
    shutil.rmtree(checkpoints / "step-0000012")
    status, output = ledger("sign", run_dir, f"key={keys / 'ours.pem'}")
    assert status == 0, output
    status, output = ledger("verify", run_dir, f"public_key={public}")
    assert (status, "all as signed" in output) == (0, True), output


def test_an_exported_model(undisturbed: Path, tmp_path: Path, keys: Path) -> None:
    model, public = tmp_path / "model", keys / "other.pub.pem"
    run_command("export", f"checkpoint={undisturbed}", f"output={model}")
    status, output = ledger("sign", model, f"key={keys / 'other.pem'}")
    assert status == 0, output
    status, output = ledger("verify", model, f"public_key={public}")
    assert (status, "all as signed" in output, "all as exported" in output) == (0, True, True), output
    flip_a_bit(model / "model.safetensors")
    lines = problems(model, public)
    assert f"{model / 'model.safetensors'} is not the file that was signed" in lines
    assert any("does not match the hash in manifest.json" in line for line in lines)
    assert ledger("sign", model, f"key={keys / 'other.pem'}")[0] == 2


def test_the_evaluation_and_the_card_are_signed(
    undisturbed: Path, tmp_path: Path, keys: Path, terminal: pytest.CaptureFixture[str]
) -> None:
    model, public = tmp_path / "model", keys / "ours.pub.pem"
    signing = SignConfig(run=str(model), key=str(keys / "ours.pem"))
    export(ExportConfig(checkpoint=str(undisturbed), output=str(model)))
    arithmetic = task(0, metric="accuracy", metrics={"accuracy": {"value": 0.0121}})
    write_evaluation(model, kobest_copa=task(0.551), gsm8k=arithmetic)
    card(CardConfig(model=str(model)))
    sign(signing)
    assert list(check_signature(model, public)) == []
    names = ["evaluation.json", "README.md", "eu_training_summary.md", "sbom.spdx.json", "sbom.cdx.json"]
    for name in [*names, ".eval_results/gsm8k.yaml", "card.json", "training.json"]:
        content = (model / name).read_bytes()
        (model / name).write_bytes(content + b"\n")
        assert list(check_signature(model, public)) == [f"{model / name} is not the file that was signed"]
        (model / name).write_bytes(content)
    write_evaluation(model, kobest_copa=task(0.951))
    with pytest.raises(UserError, match="is not signed, as it is not what it says it is"):
        sign(signing)
    assert "is not the one that the card was written from" in terminal.readouterr().out
    card(CardConfig(model=str(model)))
    assert f"{model / 'model.sig'} does not cover this card: sign again" in terminal.readouterr().out
    assert f"{model / 'README.md'} is not the file that was signed" in check_signature(model, public)
    sign(signing)
    assert list(check_signature(model, public)) == []


def test_what_does_not_verify_is_not_signed(undisturbed: Path, tmp_path: Path, keys: Path) -> None:
    run_dir = shutil.copytree(undisturbed, tmp_path / "run")
    flip_a_bit(next(list_checkpoints(run_dir)[1].glob("*.safetensors")))
    status, output = ledger("sign", run_dir, f"key={keys / 'ours.pem'}")
    assert (status, "does not match the hash" in output, "is not signed" in output) == (2, True, True), (
        output
    )
    assert not list(run_dir.glob("model.sig*"))


def test_mistakes(run_dir: Path, keys: Path, tmp_path: Path) -> None:
    inside = shutil.copy(keys / "ours.pem", run_dir / "key.pem")
    for command, words, message in (
        ("sign", [], "missing option: key="),
        ("sign", [f"key={inside}"], "would be handed out with it"),
        ("sign", ["key=/no/such.pem"], "key=/no/such.pem cannot be read"),
        ("sign", [f"key={keys / 'ours.pub.pem'}"], "is no open private key in PEM"),
        ("sign", [f"key={keys / 'rsa.pem'}"], "is no open private key in PEM"),
        ("verify", ["public_key=/no/such.pem"], "public_key=/no/such.pem cannot be read"),
        ("verify", [f"public_key={keys / 'rsa.pub.pem'}"], "is no public key in PEM"),
        ("verify", [f"public_key={keys / 'ours.pem'}"], "openssl ec -in key.pem -pubout"),
    ):
        status, output = ledger(command, run_dir, *words)
        assert (status, message in output) == (2, True), output
    status, output = ledger("sign", tmp_path / "nowhere", f"key={keys / 'ours.pem'}")
    assert (status, "has no ledger.jsonl" in output) == (2, True), output


def test_without_the_package(run_dir: Path, keys: Path) -> None:
    """As on a machine where it is not installed: the import is refused."""
    code = "import os, runpy, sys; sys.modules['model_signing'] = None; sys.argv = sys.argv[1:]; "
    code += "sys.path[0] = os.path.dirname(sys.argv[0]); "
    code += "runpy.run_path(sys.argv[0], run_name='__main__')"
    for words in (["sign", f"key={keys / 'ours.pem'}"], ["verify", f"public_key={keys / 'ours.pub.pem'}"]):
        command = [
            sys.executable,
            "-c",
            code,
            str(SCRIPTS / "ledger.py"),
            words[0],
            f"run={run_dir}",
            words[1],
        ]
        result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
        assert result.returncode == 2
        assert result.stderr == "error: signatures need a package: pip install 'onnuri[sign]'\n"
