"""`proxima evaluate tracing`: its table, its file of predictions and its refusals."""

import csv
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from typer.testing import CliRunner

from app.evaluation import evaluate_app, evaluate_tracing
from tracing.baselines import MODELS
from tracing.baselines import irt as irt_module
from tracing.errors import NotEnoughData, SchemaError, TracingError
from tracing.evaluate import Tracer
from tracing.metrics import metrics
from tracing.sequences import Sequences


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """40 Rasch learners in folds 0-3, 25 answers each; fold 7 has a learner without a file."""
    random = np.random.default_rng(0)
    root = tmp_path / "ednet"
    for name in ("contents", "KT1"):
        (root / name).mkdir(parents=True)
    header = "question_id,bundle_id,explanation_id,correct_answer,part,tags,deployed_at\n"
    questions = [f"q{n},b{n},e{n},a,1,{n % 3},-1\n" for n in range(10)]
    (root / "contents/questions.csv").write_text(header + "".join(questions))
    (root / "folds.csv").write_text(
        "user_id,fold\n" + "".join(f"{n},{n % 4}\n" for n in range(40)) + "99,7\n"
    )
    easiness = np.linspace(-3, 3, 10)
    for learner in range(40):
        item = random.integers(0, 10, 25)
        right = random.random(25) < 1 / (1 + np.exp(-easiness[item] - random.standard_normal()))
        rows = [
            f"{n * 1000},{n},q{q},{'a' if ok else 'b'},0\n"
            for n, (q, ok) in enumerate(zip(item, right, strict=True))
        ]
        text = "timestamp,solving_id,question_id,user_answer,elapsed_time\n" + "".join(rows)
        (root / f"KT1/u{learner}.csv").write_text(text)
    return root


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(evaluate_app, ["tracing", *arguments])
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("model", ["item_mean", "irt", "best_lr"])
def test_predictions_reproduce_the_report(folder: Path, tmp_path: Path, model: str) -> None:
    out = tmp_path / "predictions.csv"
    stages: list[str] = []
    evaluation = evaluate_tracing(folder, model, [0, 1, 2], 3, out, say=stages.append)
    assert (evaluation.train_learners, evaluation.test_learners, evaluation.unlabelled) == (30, 10, 0)
    assert [stage.split()[0] for stage in stages] == ["reading", "fitting", "predicting", "writing"]
    truth = {
        (path.stem[1:], row): answer["user_answer"] == "a"
        for path in (folder / "KT1").iterdir()
        for row, answer in enumerate(csv.DictReader(path.read_text().splitlines()))
    }
    rows = list(csv.DictReader(out.read_text().splitlines()))
    for protocol, expected in (("one_step", 250), ("multi_step", 100)):
        mine = [row for row in rows if row["protocol"] == protocol]
        assert len(mine) == expected
        assert {int(row["user_id"]) % 4 for row in mine} == {3}
        got = metrics(
            np.array([float(row["p"]) for row in mine]),
            np.array([truth[row["user_id"], int(row["row"])] for row in mine]),
        )
        reported = getattr(evaluation.report, protocol)
        assert (got.n, got.nll, got.auc) == pytest.approx((reported.n, reported.nll, reported.auc))
        assert got.auc > 0.7


def test_command_prints_the_table(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.csv"
    code, text, notes = run(
        str(folder), "--train-folds", "0,1,2", "--test-fold", "3", "--model", "irt", "--out", str(out)
    )
    assert code == 0, notes
    for part in ("irt on 10 learners", "one_step", "answers 11-50", "multi_step", "fitted on 30 learners"):
        assert part in text
    assert out.is_file()


def test_rows_without_label_are_named(folder: Path) -> None:
    path = folder / "KT1/u3.csv"
    path.write_text(path.read_text() + "25000,25,q1,,0\n")
    _, _, notes = run(str(folder), "--train-folds", "0", "--test-fold", "3", "--model", "irt")
    assert "1 rows of KT1 carry no label" in notes


@pytest.mark.parametrize(
    ("train", "test", "model", "message"),
    [
        ("0,1", "1", "irt", "fold 1 is among the train folds 0, 1"),
        ("0,1", "5", "irt", "fold 5 has no learners; it has 0, 1, 2, 3, 7"),
        ("0,8", "1", "irt", "fold 8 has no learners"),
        ("0,1", "7", "irt", "no labelled answer of a learner of fold 7"),
        ("7", "1", "irt", "no labelled answer of a learner of train folds 7"),
        ("0,1", "2", "gru", "unknown model 'gru'; there are psi_kt, irt, best_lr, item_mean"),
    ],
)
def test_what_cannot_be_judged_is_refused(
    folder: Path, train: str, test: str, model: str, message: str
) -> None:
    code, text, notes = run(str(folder), "--train-folds", train, "--test-fold", test, "--model", model)
    assert code == 1
    assert message in notes
    assert text == ""


def test_folds_must_be_there_and_be_numbers(folder: Path) -> None:
    assert run(str(folder), "--train-folds", "a,b", "--test-fold", "3")[0] == 2
    (folder / "folds.csv").unlink()
    with pytest.raises(SchemaError, match=r"no folds\.csv"):
        evaluate_tracing(folder, "irt", [0], 3)
    with pytest.raises(TracingError, match="leave it out"):
        evaluate_tracing(folder, "irt", [3], 3)


def test_no_train_fold(folder: Path) -> None:
    with pytest.raises(NotEnoughData, match="no fold to train on"):
        evaluate_tracing(folder, "irt", [], 3)


def test_a_model_that_is_not_there_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "psi_kt", "tracing.not_there")
    with pytest.raises(TracingError, match=r"'psi_kt' needs the module 'tracing\.not_there'"):
        evaluate_tracing(folder, "psi_kt", [0], 3)


def test_psi_kt_hears_of_seed_and_device(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[int, str]] = []

    def fit_tracer(train: Sequences, *, seed: int, device: str) -> Tracer:
        heard.append((seed, device))
        return irt_module.fit_tracer(train)

    module = ModuleType("tracing.heard")
    monkeypatch.setattr(module, "fit_tracer", fit_tracer, raising=False)
    monkeypatch.setitem(sys.modules, "tracing.heard", module)
    monkeypatch.setitem(MODELS, "psi_kt", "tracing.heard")
    evaluate_tracing(folder, "psi_kt", [0], 3, seed=5, device="cpu")
    assert heard == [(5, "cpu")]
