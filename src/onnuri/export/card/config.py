"""Options of `onnuri export card`, and what a provider can say of a model."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from onnuri.base.errors import UserError
from onnuri.config.mapping import from_mapping
from onnuri.config.paths import path_option


@dataclass
class CardConfig:
    """Which model, and what its provider says of it. Options win over the file of statements."""

    model: str = path_option()
    """Folder that `onnuri export` has written; `evaluation.json` in it goes into the card."""
    statements: str = path_option("")
    """YAML file with what only the provider knows; its keys are listed in docs/model_card.md."""
    name: str = ""
    """Name of the model; empty: that of its folder."""
    provider: str = ""
    """Name of whoever publishes the model."""
    contact: str = ""
    """Address for questions and complaints: e-mail or URL."""
    licence: str = ""
    """Licence of the weights, an SPDX expression."""
    intended_use: str = ""
    """What the model is meant for."""
    watts: float = 0.0
    """Nominal power of a device in watts, for the estimate of energy; 0: by its name, if that is known."""

    def __post_init__(self) -> None:
        if self.watts < 0:
            raise UserError(f"watts={self.watts} must be at least 0")


@dataclass
class Statements:
    """What only the provider knows. A text that is empty shows in the card as still to be completed."""

    name: str = ""
    """Name of the model."""
    provider: str = ""
    """Name of the provider."""
    contact: str = ""
    """Contact of the provider."""
    authorised_representative: str = ""
    """Of a provider outside of the EU."""
    licence: str = ""
    """Licence of the weights, an SPDX expression."""
    intended_use: str = ""
    """What the model is meant for."""
    out_of_scope: str = ""
    """What it is not meant for."""
    limits: str = ""
    """Limits and risks that the provider knows of."""
    download: str = ""
    """URL where the model can be had."""
    release_date: str = ""
    """When the model was, or will be, placed on the market."""
    collection: str = ""
    """How and why the data was chosen; crawlers that were used, and how they behaved."""
    rights_reservations: str = ""
    """Measures to respect reservations of rights (robots.txt, TDM reservation) at collection."""
    illegal_content: str = ""
    """Measures to keep illegal content out of the training data."""
    user_data: str = ""
    """Which services' user data was used, if any."""
    personal_data: str = ""
    """Legal basis and measures for personal data beyond what the corpus records."""
    high_impact: str = ""
    """Assessment for high-impact uses (Korean AI Basic Act), if there is one."""


def statements(config: CardConfig) -> Statements:
    """The provider's words, of file and command. Raises UserError for a file that cannot be used."""
    found = Statements()
    if config.statements:
        written = _read(Path(config.statements))
        found = from_mapping(Statements, written, f"statements {config.statements}", {})
    for each in fields(found):
        if value := getattr(config, each.name, ""):
            setattr(found, each.name, value)
    return found


def _read(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"statements={path} cannot be read: {' '.join(str(error).split())}") from None
