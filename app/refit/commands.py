"""The verbs refit, fits, promote and rollback."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sqlalchemy import Engine, select

from app.catalogue import TABLES
from app.database import open_engine
from app.ednet_files.rows import reading
from app.refit.running import Outcome, Stage, carry_out
from app.registry import FitSummary, RegistryError, list_fits, promote, rollback
from app.replay import find_course, replay_course
from app.runs import begin_run
from app.settings import Settings
from tracing.errors import TracingError

ACTOR = "command line"
POLITE = 10
"""How much a run that a server started stands back behind the server."""
MARKS = {True: "[green]passed[/green]", False: "[red]missed[/red]", None: "-"}

CourseOption = Annotated[str | None, typer.Option("--course", help="Course; by default all.")]
TenantOption = Annotated[str, typer.Option("--tenant", help="School or district.")]
ReasonOption = Annotated[str, typer.Option(help="Why, for the audit log.")]
fit, course, tenant = (TABLES[name] for name in ("fit", "course", "tenant"))


@contextmanager
def database(settings: Settings) -> Iterator[Engine]:
    """An engine for the time of a verb."""
    engine = open_engine(settings)
    try:
        yield engine
    finally:
        engine.dispose()


def refit_command(
    course_name: CourseOption = None,
    tenant_name: TenantOption = "default",
    run: Annotated[int | None, typer.Option(help="Do this waiting run, as the server started it.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the fit.")] = 0,
    steps: Annotated[
        int | None, typer.Option(min=5, max=10_000, help="Steps of the fit; by default as many as it needs.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Let the fit serve even if it misses a gate; this is recorded.")
    ] = False,
) -> None:
    """Fit a course to its answers, judge the fit on learners held out, and let it serve if it is better.

    Ends with 1 if a run failed; a fit that is kept and does not serve is no failure.
    """
    settings = Settings()
    notes = Console(stderr=True)
    with database(settings) as engine:
        if run is not None:
            os.nice(POLITE)
            runs = [run]
        else:
            asked = {"seed": seed, "steps": steps, "force": force, "actor": ACTOR}
            runs = [begin(engine, key, asked) for key in courses(engine, tenant_name, course_name)]
        failed = [fit_id for fit_id in runs if not follow(engine, settings, fit_id, notes)]
    if failed:
        raise typer.Exit(1)


def courses(engine: Engine, tenant_name: str, course_name: str | None) -> list[int]:
    """The ids of the courses meant; raises RegistryError where there is none."""
    with reading(engine) as connection:
        if course_name is not None:
            return [find_course(connection, tenant_name, course_name)]
        query = select(course.c.id).join(tenant, tenant.c.id == course.c.tenant_id)
        found = list(connection.scalars(query.where(tenant.c.name == tenant_name).order_by(course.c.id)))
    if not found:
        raise RegistryError(f"tenant {tenant_name} has no course yet; `proxima import` makes one")
    return found


def begin(engine: Engine, course_id: int, asked: dict[str, Any]) -> int:
    """The number of a new run."""
    with engine.begin() as connection:
        return begin_run(connection, course_id, asked)


def follow(engine: Engine, settings: Settings, fit_id: int, notes: Console) -> bool:
    """Carry a run out under a progress bar and show its gates; whether it ended well."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=notes, transient=True) as progress:
            bar = progress.add_task(f"fit {fit_id}", total=None)

            def tell(stage: Stage) -> None:
                loss = "" if stage.loss is None else f", {stage.loss:.4f} nats an answer"
                text = f"fit {fit_id}: {stage.phase}{loss}"
                progress.update(bar, description=text, completed=stage.step, total=stage.steps)

            outcome = carry_out(engine, settings, fit_id, tell)
    except (TracingError, RegistryError) as error:
        notes.print(f"[red]fit {fit_id} failed:[/red] {escape(str(error))}", soft_wrap=True)
        return False
    Console().print(gates_table(outcome))
    return True


def gates_table(outcome: Outcome) -> Table:
    """The gates of a run with their numbers, and what became of the fit."""
    counts, seconds = outcome.card["counts"], outcome.card["seconds"]
    title = f"fit {outcome.fit_id}: {counts['answers']:,} answers of {counts['learners']:,} learners"
    table = Table("gate", "verdict", "what was found", title=title)
    for gate in outcome.judgement.gates:
        table.add_row(gate.name, MARKS[gate.passed], escape(gate.text))
    replayed = "" if outcome.replayed is None else f"; {outcome.replayed.learners:,} learners brought to it"
    table.caption = f"{outcome.state}: {escape(outcome.reason)}; {seconds['whole']:.0f} s{replayed}"
    return table


def fits_command(
    course_name: CourseOption = None,
    tenant_name: TenantOption = "default",
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document a line, cards included.")
    ] = False,
) -> None:
    """List fits, newest first; the one that serves a course is marked."""
    with database(Settings()) as engine, reading(engine) as connection:
        only = None if course_name is None else find_course(connection, tenant_name, course_name)
        tenant_id = connection.scalar(select(tenant.c.id).where(tenant.c.name == tenant_name))
        found = [] if tenant_id is None else list_fits(connection, tenant_id, only)
    if as_json:
        for summary in found:
            typer.echo(json.dumps(vars_of(summary), default=str))
        return
    table = Table("id", "course", "state", "serves", "begun", "log loss", "reason", box=None)
    for summary in found:
        loss = summary.card.get("metrics", {}).get("psi_kt", {}).get("nll")
        table.add_row(
            str(summary.id),
            escape(summary.course),
            summary.state,
            "yes" if summary.is_serving else "",
            f"{summary.started_at:%Y-%m-%d %H:%M}",
            "" if loss is None else f"{loss:.4f}",
            escape(summary.reason),
        )
    Console().print(table)


def vars_of(summary: FitSummary) -> dict[str, Any]:
    """A listed fit as a document."""
    return {name: getattr(summary, name) for name in FitSummary.__slots__}


def promote_command(
    fit_id: Annotated[int, typer.Argument(metavar="FIT", help="Number of the fit, from `proxima fits`.")],
    tenant_name: TenantOption = "default",
    reason: ReasonOption = "",
) -> None:
    """Let a kept fit serve its course, and bring the course's learners to it."""
    settings = Settings()
    with database(settings) as engine:
        with engine.begin() as connection:
            query = select(fit.c.course_id).join(tenant, tenant.c.id == fit.c.tenant_id)
            query = query.where(fit.c.id == fit_id, tenant.c.name == tenant_name)
            course_id = connection.scalar(query)
            if course_id is None:
                raise RegistryError(f"tenant {tenant_name} has no fit {fit_id}; `proxima fits` lists them")
            promote(connection, fit_id, ACTOR, reason)
        bring_along(engine, settings, course_id, f"fit {fit_id} serves now")


def rollback_command(
    course_name: Annotated[str, typer.Option("--course", help="Course to take back.")],
    tenant_name: TenantOption = "default",
    reason: ReasonOption = "",
) -> None:
    """Let the fit that served before serve again, and bring the course's learners back to it."""
    settings = Settings()
    with database(settings) as engine:
        with engine.begin() as connection:
            course_id = find_course(connection, tenant_name, course_name)
            fit_id = rollback(connection, course_id, ACTOR, reason)
        bring_along(engine, settings, course_id, f"fit {fit_id} serves again")


def bring_along(engine: Engine, settings: Settings, course_id: int, done: str) -> None:
    """Go through the learners of a course anew and say how many there were."""
    with Console(stderr=True).status("bringing learners to the fit"):
        report = replay_course(engine, settings.artifact_dir, course_id)
    typer.echo(f"{done}; {report.learners:,} learners brought to it")
