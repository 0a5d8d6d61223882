"""A fit on disk: the same again, or refused with the reason."""

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from tests.tracing.courses import small_course
from tracing import Parameters, load_parameters, population_parameters, save_parameters
from tracing.artifact import CARD, TENSORS
from tracing.errors import ArtifactError
from tracing.population import NAMES

P = small_course().parameters


def same(a: Parameters, b: Parameters) -> None:
    """Every field but fit_id is equal to the last bit, types included."""
    for field in fields(Parameters):
        x, y = getattr(a, field.name), getattr(b, field.name)
        if isinstance(x, np.ndarray):
            assert x.dtype == y.dtype, field.name
            assert np.array_equal(x, y), field.name
        elif field.name == "population":
            assert [float(getattr(x, n)) for n in NAMES] == [getattr(y, n) for n in NAMES]
        elif field.name != "fit_id":
            assert x == y, field.name


@pytest.mark.parametrize("parameters", [P, population_parameters()], ids=["psi_kt", "irt"])
def test_a_fit_comes_back_whole(parameters: Parameters, tmp_path: Path) -> None:
    digest = save_parameters(parameters, tmp_path / "a" / "b", {"course": "maths"})
    same(parameters, load_parameters(tmp_path / "a" / "b", digest))
    assert load_parameters(tmp_path / "a" / "b", fit_id=12).fit_id == 12
    card = json.loads((tmp_path / "a" / "b" / CARD).read_text())
    assert card["sha256"] == digest
    assert card["course"] == "maths"
    assert set(card["population"]) == set(NAMES)


def test_the_same_fit_has_the_same_digest(tmp_path: Path) -> None:
    assert save_parameters(P, tmp_path / "a", {}) == save_parameters(P, tmp_path / "b", {"other": 1})
    assert save_parameters(population_parameters(), tmp_path / "a", {}) != save_parameters(
        P, tmp_path / "b", {}
    )


def test_a_tampered_tensor_is_refused(tmp_path: Path) -> None:
    digest = save_parameters(P, tmp_path, {})
    data = bytearray((tmp_path / TENSORS).read_bytes())
    data[-3] ^= 1
    (tmp_path / TENSORS).write_bytes(data)
    with pytest.raises(ArtifactError, match="roll back"):
        load_parameters(tmp_path)
    with pytest.raises(ArtifactError, match="roll back"):
        load_parameters(tmp_path, digest)


def test_a_fit_other_than_the_registered_one_is_refused(tmp_path: Path) -> None:
    save_parameters(P, tmp_path, {})
    with pytest.raises(ArtifactError, match="not what was registered"):
        load_parameters(tmp_path, "0" * 64)


@pytest.mark.parametrize("card", ["{}", '{"format": 2}', "[]", "nonsense", ""])
def test_another_format_is_refused(card: str, tmp_path: Path) -> None:
    save_parameters(P, tmp_path, {})
    (tmp_path / CARD).write_text(card)
    with pytest.raises(ArtifactError, match="refit the course"):
        load_parameters(tmp_path)


def test_a_missing_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="nowhere: no readable fit"):
        load_parameters(tmp_path / "nowhere")
    save_parameters(P, tmp_path, {})
    (tmp_path / TENSORS).unlink()
    with pytest.raises(ArtifactError, match="no readable fit"):
        load_parameters(tmp_path)


def test_missing_tensors_are_named(tmp_path: Path) -> None:
    import hashlib

    from safetensors.numpy import save

    save_parameters(P, tmp_path, {})
    data = save({"item_keys": P.item_keys})
    (tmp_path / TENSORS).write_bytes(data)
    with pytest.raises(ArtifactError, match="lacks base_difficulty"):
        load_parameters(tmp_path, hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_refused_and_nothing_written(number: float, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="not finite"):
        save_parameters(P, tmp_path / "fit", {"metrics": {"auc": number}})
    assert not (tmp_path / "fit").exists()


def test_nothing_partial_stays_and_nothing_is_pickled(tmp_path: Path) -> None:
    save_parameters(P, tmp_path, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([CARD, TENSORS])
    for source in (Path(__file__).resolve().parents[2] / "tracing").rglob("*.py"):
        text = source.read_text()
        assert "pickle" not in text, source
        assert "torch.load" not in text, source
        assert "torch.save" not in text, source
