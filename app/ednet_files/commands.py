"""The verbs `proxima import` and `proxima export`."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from app.database import UnusableDatabase, check_durable, open_engine
from app.ednet_files.exporting import ExportReport, FileWritten, export_source
from app.ednet_files.importing import FileDone, ImportReport, import_folder
from app.ednet_files.rows import EdnetFilesError
from app.migrate import current_revision, head_revision
from app.settings import Settings

SHOWN = 20
"""Refused, different or ignored files that are named; the rest is counted."""

Folder = Annotated[Path, typer.Argument(help="Folder with KT1/ .. KT4/ and contents/.", show_default=False)]
Tenant = Annotated[str, typer.Option(help="School or district the rows belong to.")]


def import_command(
    folder: Folder,
    source: Annotated[
        str | None,
        typer.Option(help="Where the ids come from: u1 becomes SOURCE/u1. Default: the folder's name."),
    ] = None,
    tenant: Tenant = "default",
    course: Annotated[
        str | None, typer.Option(help="Course the rows belong to. Default: the source's name.")
    ] = None,
) -> None:
    """Bring an EdNet archive in, losing nothing.

    Members are KT1/u*.csv .. KT4/u*.csv and contents/*.csv; other files are ignored. A file whose header
    fits no level, with a row of the wrong width or a timestamp that is no integer stays out and is named;
    the rest comes in. Run it again to resume. Ends with 1 if a file was refused.
    """
    console = Console(stderr=True)
    engine = _open(console)
    try:
        with _progress(console, "importing") as progress:
            bar = progress.add_task("importing", total=None, rows=0)

            def on_file(file: FileDone) -> None:
                progress.update(
                    bar,
                    total=file.total,
                    completed=file.done,
                    rows=progress.tasks[bar].fields["rows"] + file.rows,
                )

            report = import_folder(
                engine, folder, tenant=tenant, source=source, course=course, on_file=on_file
            )
    except EdnetFilesError as error:
        _give_up(console, "not imported", error)
    finally:
        engine.dispose()
    _show_import(Console(), report)
    if report.refused:
        raise typer.Exit(1)


def export_command(
    folder: Annotated[Path, typer.Argument(help="Folder to write to; files of the same name are replaced.")],
    source: Annotated[str, typer.Option(help="The source to write, as named at its import.")],
    tenant: Tenant = "default",
) -> None:
    """Write an imported EdNet archive back, byte for byte.

    Each file's SHA-256 is compared with that of the file that came in. Ends with 1 if one differs, as it
    does when rows of it were erased.
    """
    console = Console(stderr=True)
    engine = _open(console)
    try:
        with _progress(console, "exporting") as progress:
            bar = progress.add_task("exporting", total=None, rows=0)

            def on_file(file: FileWritten) -> None:
                progress.update(
                    bar,
                    total=file.total,
                    completed=file.done,
                    rows=progress.tasks[bar].fields["rows"] + file.rows,
                )

            report = export_source(engine, folder, tenant=tenant, source=source, on_file=on_file)
    except (EdnetFilesError, OSError) as error:
        _give_up(console, "not exported", error)
    finally:
        engine.dispose()
    _show_export(Console(), report, folder)
    if report.mismatches:
        raise typer.Exit(1)


def _open(console: Console) -> Engine:
    """An engine on a database that can be worked on; ends the command if it cannot."""
    try:
        engine = open_engine(Settings())
        with engine.connect() as connection:
            check_durable(connection)
            found = current_revision(connection)
    except DBAPIError as error:
        _give_up(console, "the database is out of reach", error.orig or error)
    except UnusableDatabase as error:
        _give_up(console, "the database cannot be used", error)
    if found != head_revision():
        engine.dispose()
        needed = (
            f"it is at revision {found or 'none'} and has to be at {head_revision()}: run `proxima migrate`"
        )
        _give_up(console, "the database cannot be used", needed)
    return engine


def _give_up(console: Console, what: str, why: object) -> NoReturn:
    console.print(f"[red]{what}:[/red] {escape(str(why).strip())}", soft_wrap=True)
    raise typer.Exit(2)


def _progress(console: Console, verb: str) -> Progress:
    return Progress(
        TextColumn(verb),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("files, {task.fields[rows]:,} rows"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


def _show_import(console: Console, report: ImportReport) -> None:
    table = Table(title=escape(f"source {report.source}, course {report.course}, tenant {report.tenant}"))
    table.add_column("")
    table.add_column("count", justify="right")
    table.add_row("files imported", f"{report.files:,}")
    table.add_row("rows imported", f"{report.rows:,}")
    table.add_row("files already there", f"{report.already:,}")
    table.add_row("files refused", f"{len(report.refused):,}")
    table.add_row("files ignored", f"{len(report.ignored):,}")
    for flag, count in report.flagged.items():
        table.add_row(f"rows flagged {flag.replace('_', ' ')}", f"{count:,}")
    console.print(table)
    for file in report.refused[:SHOWN]:
        place = f"{file.path}:{file.line}:{file.column}" if file.line else file.path
        console.print(f"[red]refused[/red] {escape(place)}: {escape(file.reason)}", soft_wrap=True)
    for path in report.ignored[:SHOWN]:
        console.print(f"ignored {escape(path)}", soft_wrap=True)
    for kind, paths in (("refused", report.refused), ("ignored", report.ignored)):
        if len(paths) > SHOWN:
            console.print(f"and {len(paths) - SHOWN:,} more {kind}")


def _show_export(console: Console, report: ExportReport, folder: Path) -> None:
    same = report.files - len(report.mismatches)
    console.print(
        f"{report.files:,} files, {report.rows:,} rows of source {escape(report.source)} written to "
        f"{escape(str(folder))}; {same:,} identical to what was imported",
        soft_wrap=True,
    )
    for path in report.mismatches[:SHOWN]:
        console.print(f"[red]different[/red] {escape(path)}", soft_wrap=True)
    if len(report.mismatches) > SHOWN:
        console.print(f"and {len(report.mismatches) - SHOWN:,} more")
