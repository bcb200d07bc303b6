"""The stages of the corpus pipeline, in the order they run: a line for each."""

from importlib import import_module

from onnuri.corpus.stages.stage import Stage

MODULES = (
    "normalise",
    "describe",
    "filter",
    "pii",
    "dedup",
    "decontaminate",
    "quality",
)
"""Modules or packages of `onnuri.corpus.stages`, each with a `STAGE`."""

STAGES: dict[str, Stage] = {
    stage.name: stage for stage in (import_module(f"onnuri.corpus.stages.{name}").STAGE for name in MODULES)
}
