"""https with the certificate authority of a closed network: SSL_CERT_FILE is enough, for xet too."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.conftest import run_command
from tests.hub.clients.client import OLDER, Client
from tests.hub.clients.test_hf_command import contents, folder_of_files
from tests.hub.hubs import Server


def certificates(folder: Path) -> None:
    """ca.pem; chain.pem and key.pem for localhost and 127.0.0.1."""
    now = datetime.datetime.now(datetime.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("CA", "localhost")]

    def signed(number: int, *extensions: x509.ExtensionType) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(names[number])
            .issuer_name(names[0])
            .public_key(keys[number].public_key())
            .serial_number(number + 1)
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )
        for each in extensions:
            builder = builder.add_extension(each, critical=isinstance(each, x509.BasicConstraints))
        return builder.sign(keys[0], hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    addresses = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    authority = signed(0, x509.BasicConstraints(ca=True, path_length=0))
    server = signed(
        1,
        x509.BasicConstraints(ca=False, path_length=None),
        x509.SubjectAlternativeName(addresses),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
    )
    (folder / "ca.pem").write_bytes(authority)
    (folder / "chain.pem").write_bytes(server + authority)
    private = keys[1].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)


def test_an_authority_of_ones_own(tmp_path: Path) -> None:
    certificates(tmp_path)
    hub = Server(tmp_path, f"tls_certificate={tmp_path / 'chain.pem'}", f"tls_key={tmp_path / 'key.pem'}")
    try:
        assert hub.url.startswith("https://")
        folder = folder_of_files(tmp_path / "folder")
        for number, packages in enumerate([[], [OLDER]]):
            trust = {"SSL_CERT_FILE": str(tmp_path / "ca.pem")}
            client = Client(hub.url, hub.tokens["lee"], tmp_path / f"home{number}", packages, (), trust)
            client.hf("upload", f"lab/model{number}", str(folder))
            client.hf("download", f"lab/model{number}", "--local-dir", str(tmp_path / f"there{number}"))
            assert contents(tmp_path / f"there{number}") == contents(folder)
        refused = run_command("generate", "model=lab/model0", f"hub={hub.url}", check=False)
        assert "cannot be reached" in refused.stderr and "CERTIFICATE_VERIFY_FAILED" in refused.stderr
    finally:
        hub.stop()
