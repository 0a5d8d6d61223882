"""A fit on disk: tensors as safetensors, everything a person wants to read as a JSON card."""

import hashlib
import json
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from tracing.errors import ArtifactError
from tracing.parameters import Parameters
from tracing.population import NAMES, Population

FORMAT = 1
TENSORS, CARD = "parameters.safetensors", "card.json"
_ARRAYS = tuple(
    f.name for f in fields(Parameters) if f.name not in ("fit_id", "model", "population", "base_difficulty")
)


def save_parameters(parameters: Parameters, folder: Path, card: dict[str, Any]) -> str:
    """Write tensors and card into `folder` (made if need be); gives the SHA-256 of the tensors as hex.

    Each file appears whole or not at all. The card gets `format`, `model`, `sha256` and the population's
    constants beside what the caller put in. Raises ArtifactError, and writes nothing, for a card with a
    number that is not finite.
    """
    arrays = {name: np.ascontiguousarray(getattr(parameters, name)) for name in _ARRAYS}
    arrays["population"] = np.array([float(getattr(parameters.population, name)) for name in NAMES])
    arrays["base_difficulty"] = np.array([parameters.base_difficulty])
    data = save(arrays)
    digest = hashlib.sha256(data).hexdigest()
    constants = {name: float(getattr(parameters.population, name)) for name in NAMES}
    whole = {**card, "format": FORMAT, "model": parameters.model, "sha256": digest, "population": constants}
    try:
        text = json.dumps(whole, indent=1, sort_keys=True, allow_nan=False).encode()
    except ValueError as error:
        raise ArtifactError(f"{folder}: the card holds a number that is not finite; nothing saved") from error
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / TENSORS, data)
    _write(folder / CARD, text)
    return digest


def load_parameters(folder: Path, sha256: str | None = None, fit_id: int = 0) -> Parameters:
    """The fit in `folder`, numbered `fit_id`. Raises ArtifactError if missing, damaged or not of `sha256`."""
    try:
        card = json.loads((folder / CARD).read_text())
        data = (folder / TENSORS).read_bytes()
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{folder}: no readable fit ({error}); refit the course or roll back") from error
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        found_format = card.get("format") if isinstance(card, dict) else None
        raise ArtifactError(f"{folder}: a fit of format {found_format}, not {FORMAT}; refit the course")
    found = hashlib.sha256(data).hexdigest()
    if found != (sha256 or card.get("sha256")):
        raise ArtifactError(
            f"{folder}: {TENSORS} is not what was registered (SHA-256 {found[:12]}...); roll back"
        )
    try:
        arrays = load(data)
    except SafetensorError as error:
        raise ArtifactError(f"{folder}: {TENSORS} cannot be read ({error})") from error
    missing = {*_ARRAYS, "population", "base_difficulty"} - set(arrays)
    if missing:
        raise ArtifactError(f"{folder}: {TENSORS} lacks {', '.join(sorted(missing))}")
    population = Population(**dict(zip(NAMES, arrays.pop("population").tolist(), strict=True)))
    base = float(arrays.pop("base_difficulty")[0])
    return Parameters(
        fit_id=fit_id,
        model=str(card["model"]),
        population=population,
        base_difficulty=base,
        **{name: arrays[name] for name in _ARRAYS},
    )


def _write(path: Path, data: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
