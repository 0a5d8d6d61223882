"""The command `proxima`. Modules are loaded by the verb that needs them, so that `--help` is quick."""

import importlib
import sys
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group


class Verb(NamedTuple):
    """Where a verb lives (a function, or a `typer.Typer` of its own verbs) and its line in the help."""

    module: str
    attribute: str
    line: str
    panel: str


SERVER, DATA, MODELS = "Server", "Data", "Models"
VERBS = {
    "demo": Verb(
        "app.demo", "demo_command", "A school with pupils, fits and a dashboard, from nothing.", SERVER
    ),
    "keys": Verb(
        "app.access", "keys_app", "Make, rotate, revoke and list keys of frontends and scripts.", SERVER
    ),
    "accounts": Verb("app.access", "accounts_app", "Make accounts of staff for the pages.", SERVER),
    "doctor": Verb(
        "app.doctor", "doctor_command", "Check settings, database, cache and fits; say what to do.", SERVER
    ),
    "import": Verb(
        "app.ednet_files.commands", "import_command", "Read an EdNet archive into the database.", DATA
    ),
    "export": Verb("app.ednet_files.commands", "export_command", "Write a source back, byte for byte.", DATA),
    "replay": Verb("app.replay", "replay_command", "Compute knowledge anew from the interactions.", DATA),
    "evaluate": Verb(
        "app.evaluation", "evaluate_app", "Judge models on learners they have not seen.", MODELS
    ),
    "refit": Verb(
        "app.refit", "refit_command", "Fit a course, judge the fit, promote it if it is better.", MODELS
    ),
    "fits": Verb("app.refit", "fits_command", "List the fits of a course.", MODELS),
    "promote": Verb("app.refit", "promote_command", "Let a fit serve its course.", MODELS),
    "rollback": Verb("app.refit", "rollback_command", "Let the previous fit serve its course again.", MODELS),
}


class LazyCommand(TyperCommand):
    """A verb that is loaded when it is called."""

    def __init__(self, name: str, verb: Verb) -> None:
        super().__init__(name, help=verb.line, rich_help_panel=verb.panel)
        self.verb = verb

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        found = getattr(importlib.import_module(self.verb.module), self.verb.attribute)
        return command_of(found).make_context(info_name, args, parent, **extra)


class Verbs(TyperGroup):
    """The verbs written below and those of `VERBS`."""

    def list_commands(self, ctx: Any) -> list[str]:
        return ["serve", "migrate", *VERBS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in VERBS:
            return LazyCommand(cmd_name, VERBS[cmd_name])
        return super().get_command(ctx, cmd_name)


def command_of(found: Any) -> Any:
    """The command of a `typer.Typer`, or of a function."""
    if isinstance(found, typer.Typer):
        return get_group(found)
    alone = typer.Typer(add_completion=False)
    alone.command()(found)
    return get_command(alone)


app = typer.Typer(
    cls=Verbs,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Proxima, a tutoring backend. Settings come from PROXIMA_* variables: see docs/settings.md.",
)


def show_version(wanted: bool) -> None:
    """Print the version and end."""
    if wanted:
        from importlib.metadata import version

        typer.echo(version("proxima"))
        raise typer.Exit


@app.callback()
def proxima(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Hold the options of the command itself."""


@app.command(rich_help_panel=SERVER)
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; default PROXIMA_HOST.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port, 0 for a free one; default PROXIMA_PORT.")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, max=64, help="Server processes.")] = 1,
) -> None:
    """Serve HTTP until interrupted. On SQLite the tables are migrated first."""
    from app.server import run
    from app.settings import Settings

    settings = Settings()
    listen = {
        "host": settings.host if host is None else host,
        "port": settings.port if port is None else port,
    }
    run(settings.model_copy(update=listen), processes)


@app.command(rich_help_panel=SERVER)
def migrate(
    revision: Annotated[
        str, typer.Argument(help="Where to: head, base (drops every table), or a revision such as 0001.")
    ] = "head",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before dropping anything.")] = False,
) -> None:
    """Bring the tables to the newest revision. Run it once for each new version of the program."""
    from app.migrate import migrate as run
    from app.settings import Settings

    if revision != "head" and not yes:
        typer.confirm(f"Going to {revision} may drop tables with their rows. Go on?", abort=True)
    before, after = run(Settings(), revision)
    typer.echo(
        f"{before or 'no tables'} -> {after or 'no tables'}" if before != after else f"already at {after}"
    )


def reason_of(error: Exception) -> str | None:
    """One line for an error that a user can cause; None for a fault of the program."""
    from pydantic import ValidationError
    from sqlalchemy.exc import DBAPIError

    from app.cache import UnusableCache
    from app.credentials import CredentialError
    from app.database import UnusableDatabase
    from app.ednet_files import EdnetFilesError
    from app.registry import RegistryError
    from app.signing import UnusableSecret
    from tracing.errors import TracingError

    match error:
        case UnusableDatabase() | UnusableCache() | UnusableSecret() | CredentialError():
            return str(error)
        case TracingError() | RegistryError() | EdnetFilesError():
            return str(error)
        case ValidationError() if error.title == "Settings":
            faults = (f"PROXIMA_{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors())
            return "; ".join(faults)
        case DBAPIError():
            return database_reason(str(error.orig))
        case ModuleNotFoundError() if error.name in ("torch", "pyro", "sklearn", "scipy"):
            return f"this needs {error.name}, which is not installed: pip install 'proxima[refit]'"
        case OSError() if error.strerror:
            return f"{error.filename or 'network'}: {error.strerror}"
    return None


def database_reason(text: str) -> str | None:
    """One line for what the database said; None where it points at a fault of the program."""
    line = text.strip().splitlines()[0] if text.strip() else "no answer"
    if "no such table" in line or ("relation" in line and "does not exist" in line):
        return "the database has no tables yet: run `proxima migrate`"
    reachable = ("locked", "unable to open", "connect", "password", "does not exist", "disk", "readonly")
    if any(word in line for word in reachable):
        return f"the database is out of reach: {line}"
    return None


def main() -> None:
    """Run a verb. Exit code 0: done; 1: it failed, with the reason on standard error; 2: wrong usage."""
    try:
        app()
    except Exception as error:
        reason = reason_of(error)
        if reason is None:
            raise
        typer.echo(f"proxima: {reason}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
