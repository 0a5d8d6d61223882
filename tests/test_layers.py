"""Who may import whom, and what a request must never load. docs/architecture.md draws it."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = ("tracing", "curriculum", "feedback")
PACKAGES = ("app", *LIBRARIES, "migrations")
OF_THE_APP = {
    "app",
    "alembic",
    "asyncpg",
    "fastapi",
    "psycopg",
    "redis",
    "sqlalchemy",
    "sqlmodel",
    "starlette",
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def modules(*packages: str) -> list[Path]:
    """Every Python file of the packages, by path from the root."""
    return sorted(path.relative_to(ROOT) for package in packages for path in (ROOT / package).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """The modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def top_levels(path: Path) -> set[str]:
    """The packages that a file imports from."""
    return {name.partition(".")[0] for name in imported(path)}


def reads_environment(path: Path) -> bool:
    """Whether a file touches os.environ or os.getenv."""
    names = {"environ", "environb", "getenv", "getenvb", "putenv"}
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    attributes = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in names)
    from_os = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "os")
    return any(isinstance(node.value, ast.Name) and node.value.id == "os" for node in attributes) or any(
        alias.name in names for node in from_os for alias in node.names
    )


def test_import_linter_keeps_its_contracts() -> None:
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    run = subprocess.run(
        [sys.executable, "-c", program, "--no-cache"], capture_output=True, text=True, cwd=ROOT
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "0 broken" in run.stdout


def test_every_module_of_the_app_has_a_layer() -> None:
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    (layered,) = (contract for contract in contracts if contract["type"] == "layers")
    listed = {name.strip(" ()") for layer in layered["layers"] for name in layer.replace("|", ":").split(":")}
    present = {path.parts[1].removesuffix(".py") for path in modules("app")} - {"__init__"}
    assert present <= listed, f"give {sorted(present - listed)} a layer in pyproject.toml"


@pytest.mark.parametrize("library", LIBRARIES)
def test_libraries_know_neither_app_nor_http_nor_sql(library: str) -> None:
    for path in modules(library):
        strangers = top_levels(path) & (OF_THE_APP | set(LIBRARIES) - {library})
        assert not strangers, f"{path} imports {sorted(strangers)}"


def test_only_settings_reads_the_environment() -> None:
    assert [str(path) for path in modules(*PACKAGES) if reads_environment(path)] in ([], ["app/settings.py"])


def test_only_cache_speaks_redis() -> None:
    speaking = [
        path for path in modules(*PACKAGES) if any(name.startswith("redis") for name in imported(path))
    ]
    assert [str(path) for path in speaking] == ["app/cache.py"]


def test_serving_loads_neither_torch_nor_pyro() -> None:
    program = "import sys, app.main; print(sorted({'torch', 'pyro', 'sklearn', 'scipy'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "[]"


def test_every_imported_package_is_named_in_pyproject() -> None:
    """Also those that another package happens to bring along."""
    extras = PROJECT["project"]["optional-dependencies"].values()
    lines = [*PROJECT["project"]["dependencies"], *(line for extra in extras for line in extra)]
    named = {canonicalize_name(Requirement(line).name) for line in lines}
    brings = packages_distributions()
    unnamed = []
    for path in modules(*PACKAGES, "tests", "bench", ".ci"):
        for top in sorted(top_levels(path)):
            if top in sys.stdlib_module_names or (ROOT / top).is_dir():
                continue
            if not named & {canonicalize_name(source) for source in brings.get(top, [])}:
                unnamed.append(f"{path}: {top}")
    assert not unnamed
