"""Documentation that would be wrong if this failed: links, names, commands, code blocks."""

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "bench/README.md",
    *sorted(ROOT.glob("docs/**/*.md")),
]
INSTALLERS = ["Makefile", "Dockerfile", "requirements.lock", "pyproject.toml", ".ci/run", ".ci/lock.py"]


def name_of(page: Path) -> str:
    """A page's path from the root."""
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """What `#...` may name in a page: its headings, lower case, spaces as hyphens, punctuation dropped."""
    headings = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def make_targets() -> set[str]:
    """The targets of the Makefile."""
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


def has_name(dotted: str) -> bool:
    """Whether a dotted name leads to something: module, function, class, field or key of a mapping."""
    parts = dotted.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            fields = {**getattr(found, "__dataclass_fields__", {}), **getattr(found, "model_fields", {})}
            if not hasattr(found, part) and part not in fields:
                return part in found if isinstance(found, dict | tuple | list) else False
            found = getattr(found, part, None)
        return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        goal = (page.parent / path).resolve() if path else page
        if not goal.exists() or (anchor and anchor not in anchors(goal)):
            dead.append(target)
    assert not dead


def test_readme_leads_to_every_page() -> None:
    linked = re.findall(r"\]\((docs/[^)#\s]+)", prose(ROOT / "README.md"))
    assert {f"docs/{page.name}" for page in ROOT.glob("docs/*.md")} <= set(linked)


def test_readme_starts_with_commands_that_exist() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make demo" in readme
    assert "make test" in readme
    named = {
        target
        for page in PAGES
        for target in re.findall(r"`make ([a-z-]+)", page.read_text(encoding="utf-8"))
    }
    assert named <= make_targets()


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_is_described_and_documented(name: str) -> None:
    assert Settings.model_fields[name].description
    page = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| `PROXIMA_{name.upper()}` .*$", page, flags=re.MULTILINE)
    default = Settings.model_fields[name].default
    shown = f"`{default:g}`" if isinstance(default, float) else f"`{default}`"
    assert default is None or f" {shown} |" in row


def test_no_setting_is_documented_that_is_gone() -> None:
    page = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    named = {name.lower() for name in re.findall(r"PROXIMA_([A-Z_]+)", page) if not name.startswith("TEST_")}
    assert named <= set(Settings.model_fields)


def glossary() -> list[tuple[str, str]]:
    """(term, code name) of every row of the glossary that has a code name."""
    lines = re.findall(r"^\|.+\|$", prose(ROOT / "docs/glossary.md"), flags=re.MULTILINE)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [(row[0], name) for row in cells if len(row) > 3 for name in re.findall(r"`([\w.]+)`", row[3])]


@pytest.mark.parametrize(("term", "name"), glossary())
def test_glossary_names_exist(term: str, name: str) -> None:
    assert has_name(name), f"the glossary says that {term} is {name}"


def test_glossary_would_notice_a_name_that_is_gone() -> None:
    assert len(glossary()) > 20
    assert not has_name("tracing.population.Population.halflife")
    assert not has_name("tracing.nowhere")


def test_dockerfile_runs_make_only() -> None:
    commands = re.findall(r"^RUN (.*)$", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    assert commands
    for command in commands:
        verb, *targets = command.split()
        assert verb == "make", command
        assert set(targets) <= make_targets(), command


@pytest.mark.parametrize("name", INSTALLERS)
def test_what_installs_names_no_host(name: str) -> None:
    """Where packages come from is the installer's configuration, the user's choice."""
    assert not re.findall(r"https?://(?!127\.0\.0\.1)\S+", (ROOT / name).read_text(encoding="utf-8"))


def test_lock_holds_all_but_torch() -> None:
    locked = re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE)
    assert len(locked) == len(set(locked))
    assert not [name for name in locked if name == "torch" or name.startswith(("nvidia-", "triton"))]
    direct = re.findall(
        r'^\s+"([a-z0-9-]+)', (ROOT / "pyproject.toml").read_text().split("[project.scripts]")[0], re.M
    )
    assert set(direct) <= {*locked, "torch"}, "run `make lock`"


def test_changelog_knows_the_version() -> None:
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), flags=re.MULTILINE)
    assert version is not None
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{version[1]}]" in changelog or "## [Unreleased]" in changelog


def test_bench_table_names_every_bench() -> None:
    table = (ROOT / "bench/README.md").read_text(encoding="utf-8")
    scripts = {path.name for path in (ROOT / "bench").glob("*.py") if "__main__" in path.read_text()}
    assert set(re.findall(r"bench/(\w+\.py)", table)) == scripts


def python_blocks(page: Path) -> list[str]:
    """The Python code blocks of a page."""
    return re.findall(
        r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.exists() and python_blocks(page)], ids=name_of
)
def test_code_blocks_run(page: Path, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(python_blocks(page))],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr
