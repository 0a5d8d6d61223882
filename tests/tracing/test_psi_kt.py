"""PSI-KT as a tracer: complete, better than the baselines where there is something to trace, light."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.tracing.courses import small_course
from tracing.baselines import load_model
from tracing.evaluate import check_complete, evaluate
from tracing.folder import read_folder
from tracing.metrics import paired_bootstrap
from tracing.population import default_population
from tracing.psi_kt import PsiKT
from tracing.sequences import Sequences, build_sequences
from tracing.simulate import draw_parameters, simulate

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "kt"


def test_predictions_are_what_the_protocol_asks_for() -> None:
    course = small_course()
    logs = [course.history(np.random.default_rng(n), n) for n in (5, 20, 71, 60)]
    sequences = course.sequences(logs)
    check_complete(PsiKT(course.parameters).predict(sequences), sequences)


def test_items_and_components_the_fit_lacks_are_predicted() -> None:
    course = small_course()
    wider = small_course(seed=9, components=8, items=40)
    sequences = wider.sequences([wider.history(np.random.default_rng(0), 65)])
    predictions = PsiKT(course.parameters).predict(sequences)
    check_complete(predictions, sequences)
    assert ((predictions.one_step > 0) & (predictions.one_step < 1)).all()


def test_importing_tracing_stays_light() -> None:
    """Neither the package nor what serves and evaluates brings in torch, Pyro or SciPy."""
    code = """
import sys, tracing, tracing.psi_kt, tracing.evaluate, tracing.batch
heavy = {"torch", "pyro", "scipy", "sklearn"} & {name.partition(".")[0] for name in sys.modules}
assert not heavy, heavy
"""
    root = Path(__file__).resolve().parents[2]
    found = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


@pytest.mark.slow
def test_beats_the_baselines_where_learners_have_form_and_forget() -> None:
    from tracing.fit import FitConfig, fit

    items = pl.DataFrame(
        {"item": range(1, 81), "components": [[101 + n // 10] for n in range(80)]},
        schema={"item": pl.Int64, "components": pl.List(pl.Int64)},
    )
    generator = np.random.default_rng(0)
    population = default_population(form_variance=0.6, passing_variance=0.3, lasting_variance=0.3)
    truth = draw_parameters(items, [], generator, population=population)
    sequences = build_sequences(simulate(truth, items, np.full(200, 80), generator).answers, items)
    train, test = sequences.select(np.arange(140)), sequences.select(np.arange(140, 200))
    reports = {name: evaluate(load_model(name)(train), test) for name in ("item_mean", "irt")}
    reports["psi_kt"] = evaluate(PsiKT(fit(train, FitConfig(steps=25), device="cpu").parameters), test)
    for name in ("item_mean", "irt"):
        assert reports["psi_kt"].one_step.auc > reports[name].one_step.auc + 0.01
        assert reports["psi_kt"].one_step.nll < reports[name].one_step.nll - 0.003


def folds(name: str) -> tuple[Sequences, Sequences]:
    """Folds 0-2 of a public set, and fold 3."""
    if not (DATA / name).is_dir():
        pytest.skip(f"{DATA / name} is not there: nothing is compared on public data")
    found = read_folder(DATA / name, range(4))
    assert found.folds is not None
    sequences = build_sequences(found.answers, found.items)
    of_test = found.folds.filter(pl.col("fold") == 3)["user_id"].to_numpy()
    test = np.isin(sequences.learners, of_test)
    return sequences.select(np.flatnonzero(~test)), sequences.select(np.flatnonzero(test))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "one_step"), [("ednet_santa", 0.01), ("assist17_ts", 0.01)])
def test_beats_irt_on_public_data(name: str, one_step: float) -> None:
    """Fit on folds 0-2, score fold 3: ahead by `one_step` of AUC one-step, and ahead multi-step."""
    from tracing.fit import fit

    train, test = folds(name)
    began = time.process_time()
    ours = evaluate(PsiKT(fit(train, device="cpu").parameters), test)
    seconds = time.process_time() - began
    irt = evaluate(load_model("irt")(train), test)
    assert ours.multi_step is not None
    assert irt.multi_step is not None
    for model, report in (("psi_kt", ours), ("irt", irt)):
        assert report.multi_step is not None
        print(
            f"{name} {model}: one-step AUC {report.one_step.auc:.4f} NLL {report.one_step.nll:.4f} "
            f"ECE {report.one_step.ece:.4f}; multi-step AUC {report.multi_step.auc:.4f} "
            f"NLL {report.multi_step.nll:.4f} ECE {report.multi_step.ece:.4f}"
        )
    learner = test.learners[test.learner_of_row]
    p = ours.predictions.one_step, irt.predictions.one_step
    better = paired_bootstrap(*p, test.correct, learner, "auc", draws=100)
    print(f"{name}: AUC {better.value:+.4f} +- {better.standard_error:.4f}; {seconds:.0f} CPU-s")
    assert ours.one_step.auc > irt.one_step.auc + one_step
    assert better.low > 0
    assert ours.one_step.nll < irt.one_step.nll
    assert ours.multi_step.auc > irt.multi_step.auc
    assert ours.one_step.ece < 0.03
