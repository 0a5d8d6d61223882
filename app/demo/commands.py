"""The verb `proxima demo`."""

import asyncio
import errno
import socket
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from app.demo.school import Size
from app.demo.stages import USER, Credentials, DemoError, Place, Tell, fit_school, make_school
from app.demo.story import STORY_SIZE, tell_story
from app.observability import configure_logging
from app.refit.commands import gates_table
from app.server import run

FOLDER = Path("demo-data")
WIDTH = 130
"""Characters of a line where the output is no terminal."""


def demo_command(
    once: Annotated[
        bool, typer.Option("--once", help="Tell the story of one learner over HTTP, and end.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Which school, which learner.")] = 0,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to serve on.")] = 8000,
    folder: Annotated[
        Path | None,
        typer.Option(help="Where the demo keeps its data. Default: demo-data/; with --once a temporary one."),
    ] = None,
) -> None:
    """Make a school of simulated pupils, fit its model and serve its pages and API on one port.

    Run again it starts in seconds and keeps its data. Delete the folder to begin anew.
    """
    console = Console(soft_wrap=True)
    if not console.is_terminal:
        console = Console(soft_wrap=True, width=WIDTH)
    try:
        if once:
            with tempfile.TemporaryDirectory(prefix="proxima-demo-") as temporary:
                demo_once(Place(folder or Path(temporary)), seed, console)
        else:
            demo_serve(Place(folder or FOLDER), seed, port, console)
    except DemoError as error:
        console.print(f"no demo: {error}", style="red", markup=False)
        raise typer.Exit(1) from None


def demo_serve(place: Place, seed: int, port: int, console: Console) -> None:
    """Make what is missing, say how to get in, and serve until interrupted."""
    check_port(port)
    started = time.monotonic()
    with stages(console) as progress:
        tell = teller(progress)
        credentials = make_school(place, seed, Size(), tell)
        outcome = fit_school(place, seed, tell)
    if outcome is not None:
        console.print(gates_table(outcome))
    console.print(f"ready after {time.monotonic() - started:.0f} s")
    console.print(welcome(place, credentials, port), markup=False)
    run(place.settings(port))


def demo_once(place: Place, seed: int, console: Console) -> None:
    """Make a small school without a fit and tell the story of one learner in it."""
    configure_logging("error")
    started = time.monotonic()
    with stages(console) as progress:
        credentials = make_school(place, seed, STORY_SIZE, teller(progress))
    asyncio.run(tell_story(place.settings(), credentials, seed, console))
    console.print(f"\nall of it took {time.monotonic() - started:.0f} s")


def stages(console: Console) -> Progress:
    """A line with a bar for each stage."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)


def teller(progress: Progress) -> Tell:
    """Shows each stage as it goes."""
    bars: dict[str, object] = {}

    def tell(stage: str, done: int, total: int) -> None:
        if stage not in bars:
            for bar in progress.tasks:
                progress.update(bar.id, completed=bar.total)
            bars[stage] = progress.add_task(stage, total=total)
        progress.update(bars[stage], completed=done, total=total)  # type: ignore[arg-type]

    return tell


def check_port(port: int) -> None:
    """Raise DemoError when somebody listens on the port already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise DemoError(f"port {port} is taken; choose another with --port") from None


def welcome(place: Place, credentials: Credentials, port: int) -> str:
    """What to open, how to sign in, what to try."""
    address = f"http://127.0.0.1:{port}"
    return f"""
Open      {address}/
Sign in   user {USER}, password {credentials.password}   (kept in {place.folder / "credentials.json"})

What a pupil knows, by the demo's frontend key:

  curl -H 'Authorization: Bearer {credentials.frontend_key}' \\
    {address}/v1/learners/demo/u1/knowledge

Send an answer, and see mastery move:

  curl -H 'Authorization: Bearer {credentials.frontend_key}' -H 'Content-Type: application/json' \\
    -d '{{"event_id": "'$(python3 -c 'import uuid; print(uuid.uuid4())')'", "learner": "demo/u1",
         "action": "answer", "item": "demo/q90", "user_answer": "a", "timestamp": '$(date +%s000)'}}' \\
    {address}/v1/interactions

Ctrl-C ends it; `proxima demo` starts it again with the same data.
"""
