"""Options of `onnuri hub export`, `have`, `import`, `backup` and `restore`."""

from __future__ import annotations

from dataclasses import dataclass, field

from onnuri.base.errors import UserError
from onnuri.config.paths import path_option

SMALLEST_VOLUME = 1 << 16


@dataclass
class ExportConfig:
    """What to take along, and for whom."""

    data: str = path_option()
    """Folder that `onnuri hub data=` has; the hub may be running."""
    repositories: list[str] = field(default_factory=list)
    """NAMESPACE/NAME of models, datasets/NAMESPACE/NAME of datasets."""
    output: str = path_option()
    """Folder to write; it must not be there yet."""
    key: str = path_option()
    """Private key to sign with (PEM, on P-256, P-384 or P-521, without a password)."""
    have: str = path_option("")
    """The receiver's list from `onnuri hub have`: what it names is left out; empty: nothing is."""
    trust: list[str] = path_option(default_factory=list)
    """Public keys in PEM, one of which must have signed the list."""
    volume_bytes: int = 4_000_000_000
    """Largest file of the folder; the default fits on FAT32."""
    database: str = ""
    """postgresql://USER:PASSWORD@HOST/NAME, where the hub has one."""
    blobs: str = ""
    """s3://BUCKET/PREFIX, where the hub has one."""

    def __post_init__(self) -> None:
        if not self.repositories:
            raise UserError("repositories=[] names none; for example [lab/model,datasets/lab/text]")
        if self.volume_bytes < SMALLEST_VOLUME:
            raise UserError(f"volume_bytes={self.volume_bytes} must be at least {SMALLEST_VOLUME:,}")
        if self.have and not self.trust:
            raise UserError("have= needs trust=[PUBLIC_PEM]: the public key of the hub that made the list")


@dataclass
class HaveConfig:
    """Of which hub, and where to."""

    data: str = path_option()
    """Folder that `onnuri hub data=` has; the hub may be running."""
    output: str = path_option()
    """File to write; its signature is beside it, with .sig at the end."""
    key: str = path_option()
    """Private key to sign with (PEM, on P-256, P-384 or P-521, without a password)."""
    database: str = ""
    """postgresql://USER:PASSWORD@HOST/NAME, where the hub has one."""


@dataclass
class ImportConfig:
    """What to take in, and whose signature counts."""

    data: str = path_option()
    """Folder that `onnuri hub data=` has; the hub may be running."""
    input: str = path_option()
    """Folder that `onnuri hub export` wrote."""
    trust: list[str] = path_option(default_factory=list)
    """Public keys in PEM, one of which must have signed the bundle; several while a key is replaced."""
    owner: str = ""
    """User who administers the namespaces that this hub does not have yet."""
    accept_gap: bool = False
    """Import although a bundle before this one has not been imported."""
    new_key: bool = False
    """Import although an earlier bundle of the same hub was signed with another key."""
    database: str = ""
    """postgresql://USER:PASSWORD@HOST/NAME, where the hub has one."""
    blobs: str = ""
    """s3://BUCKET/PREFIX, where the hub has one."""

    def __post_init__(self) -> None:
        if not self.trust:
            raise UserError("trust=[] names no public key: nothing can be imported without one")


@dataclass
class BackupConfig:
    """Of which hub, and where to."""

    data: str = path_option()
    """Folder that `onnuri hub data=` has; the hub may be running."""
    output: str = path_option()
    """Folder to write; it must not be there yet. It holds the hub's secret: keep it as safe as the hub."""
    previous: str = path_option("")
    """An earlier backup on the same disk: contents that it has are hard-linked from there, not copied."""
    blobs: str = ""
    """s3://BUCKET/PREFIX, where the hub has one."""


@dataclass
class RestoreConfig:
    """From where, and where to."""

    input: str = path_option()
    """Folder that `onnuri hub backup` wrote."""
    data: str = path_option()
    """Folder of the new hub; it must be missing or empty."""
