"""`proxima evaluate`: where models meet data they were not fitted on."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import polars as pl
import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from tracing.baselines import MODELS, load_model
from tracing.errors import NotEnoughData, SchemaError, TracingError
from tracing.evaluate import Report, evaluate, write_predictions
from tracing.folder import read_folder, read_folds
from tracing.metrics import Metrics
from tracing.sequences import Ints, Sequences, build_sequences

Say = Callable[[str], None]
Device = Literal["auto", "cpu", "cuda"]
TAKES_DEVICE = frozenset({"psi_kt"})
"""Models whose `fit_tracer` also takes seed and device; the others are deterministic and run on the CPU."""


@dataclass(frozen=True, eq=False)
class TracingEvaluation:
    """A model's report on one fold, with what it took (CPU seconds of this process).

    unlabelled: rows of the KT1 files read that carry no label, hence get no prediction.
    """

    model: str
    report: Report
    train_learners: int
    test_learners: int
    fit_seconds: float
    predict_seconds: float
    unlabelled: int


def evaluate_tracing(
    folder: Path,
    model_name: str,
    train_folds: Sequence[int],
    test_fold: int,
    out: Path | None = None,
    seed: int = 0,
    device: Device = "auto",
    say: Say = lambda stage: None,
) -> TracingEvaluation:
    """Fit `model_name` on `train_folds` of an EdNet-shaped folder with folds.csv; score `test_fold`.

    Writes the predictions to `out` (protocol,user_id,row,k,p) if given; `say` hears of each stage. Raises
    TracingError for an unknown model, overlapping, unknown or empty folds, and files that do not fit.
    """
    model = load_model(model_name)
    if model_name in TAKES_DEVICE:
        model = partial(model, seed=seed, device=device)
    check_folds(folder, train_folds, test_fold)
    say(f"reading {folder}")
    data = _read(folder, train_folds, test_fold)
    say(f"fitting {model_name} to {data.train.rows} answers of {len(data.train.learners)} learners")
    started = time.process_time()
    tracer = model(data.train)
    fitted = time.process_time()
    say(f"predicting {data.test.rows} answers of {len(data.test.learners)} learners")
    report = evaluate(tracer, data.test)
    predicted = time.process_time()
    if out is not None:
        say(f"writing {out}")
        write_predictions(out, report.predictions, data.test, data.test_file_row)
    return TracingEvaluation(
        model=model_name,
        report=report,
        train_learners=len(data.train.learners),
        test_learners=len(data.test.learners),
        fit_seconds=fitted - started,
        predict_seconds=predicted - fitted,
        unlabelled=data.unlabelled,
    )


def check_folds(folder: Path, train_folds: Sequence[int], test_fold: int) -> None:
    """Raise TracingError unless these folds are in folds.csv, hold learners and do not overlap."""
    if test_fold in train_folds:
        raise TracingError(
            f"fold {test_fold} is among the train folds {_listed(train_folds)}: "
            "a model is scored on learners it has not seen; leave it out of one of them"
        )
    table = read_folds(folder)
    if table is None:
        raise SchemaError(f"{folder}: no folds.csv (user_id,fold); learners cannot be split without it")
    known = sorted(table["fold"].unique().to_list())
    for fold in [*train_folds, test_fold]:
        if fold not in known:
            raise NotEnoughData(
                f"{folder / 'folds.csv'}: fold {fold} has no learners; it has {_listed(known)}"
            )
    if not train_folds:
        raise NotEnoughData("no fold to train on was given")


@dataclass(frozen=True, eq=False)
class _Data:
    train: Sequences
    test: Sequences
    test_file_row: Ints
    unlabelled: int


def _read(folder: Path, train_folds: Sequence[int], test_fold: int) -> _Data:
    read = read_folder(folder, [*train_folds, test_fold])
    if read.folds is None:
        raise SchemaError(f"{folder}: no folds.csv (user_id,fold)")
    sequences = build_sequences(read.answers, read.items)
    of_test = read.folds.filter(pl.col("fold") == test_fold)["user_id"].to_numpy()
    is_test = np.isin(sequences.learners, of_test)
    if not is_test.any() or is_test.all():
        side = f"train folds {_listed(train_folds)}" if is_test.all() else f"fold {test_fold}"
        raise NotEnoughData(f"{folder}: no labelled answer of a learner of {side}")
    return _Data(
        train=sequences.select(np.flatnonzero(~is_test)),
        test=sequences.select(np.flatnonzero(is_test)),
        test_file_row=read.answers["seq"].to_numpy()[is_test[sequences.learner_of_row]],
        unlabelled=read.unlabelled,
    )


def _listed(folds: Sequence[int]) -> str:
    return ", ".join(str(fold) for fold in folds)


def metrics_table(evaluation: TracingEvaluation) -> Table:
    """The report as a table: a row for each protocol, and for each slice of one_step."""
    table = Table(title=f"{evaluation.model} on {evaluation.test_learners} learners")
    table.add_column("protocol")
    for heading in ("n", "AUC", "accuracy", "NLL", "Brier", "ECE"):
        table.add_column(heading, justify="right")
    report = evaluation.report
    lines: list[tuple[str, Metrics | None]] = [("one_step", report.one_step)]
    lines += [(f"  answers {name}", slice_) for name, slice_ in report.slices.items()]
    lines.append(("multi_step", report.multi_step))
    for name, line in lines:
        if line is None:
            table.add_row(name, "0", *["-"] * 5)
            continue
        figures = (line.auc, line.accuracy, line.nll, line.brier, line.ece)
        table.add_row(name, str(line.n), *(f"{figure:.4f}" for figure in figures))
    table.caption = (
        f"fitted on {evaluation.train_learners} learners; CPU seconds: fit {evaluation.fit_seconds:.2f}, "
        f"predict {evaluation.predict_seconds:.2f}"
    )
    return table


evaluate_app = typer.Typer(help="Judge models on learners they were not fitted on.", no_args_is_help=True)


@evaluate_app.callback()
def _group() -> None:
    """Keep `tracing` a subcommand while it is the only one."""


def _folds(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no comma-separated list of folds, such as 0,1,2") from error


@evaluate_app.command("tracing")
def evaluate_tracing_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="EdNet-shaped folder with folds.csv.")],
    train_folds: Annotated[str, typer.Option(help="Folds to fit on, such as 0,1,2.")],
    test_fold: Annotated[int, typer.Option(help="Fold to score.")],
    model: Annotated[str, typer.Option(help=f"One of {', '.join(MODELS)}.")] = "psi_kt",
    out: Annotated[Path | None, typer.Option(help="CSV to write the predictions to.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the fit.")] = 0,
    device: Annotated[Device, typer.Option(help="Where the fit runs.")] = "auto",
) -> None:
    """Fit a tracing model on some folds of learners and score its predictions on another."""
    notes = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    try:
        with Progress(*columns, console=notes, transient=True) as progress:
            task = progress.add_task("starting", total=None)
            evaluation = evaluate_tracing(
                folder,
                model,
                _folds(train_folds),
                test_fold,
                out,
                seed,
                device,
                say=lambda stage: progress.update(task, description=stage),
            )
    except (TracingError, OSError) as error:
        notes.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from error
    Console().print(metrics_table(evaluation))
    if evaluation.unlabelled:
        notes.print(f"{evaluation.unlabelled} rows of KT1 carry no label and were not predicted")
    if out is not None:
        notes.print(f"predictions: {out}", soft_wrap=True)
