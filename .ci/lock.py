"""Write requirements.lock: what serves, then what fits models besides, then what tests besides.

usage: python .ci/lock.py [--upgrade]     (maintainers: `make lock`, `make lock UPGRADE=1`)

torch and what it brings along stay out: users choose its build with `make install TORCH=...`.
Versions already locked are kept unless --upgrade is given.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
SECTIONS = {"serve": [], "refit": ["refit"], "dev": ["refit", "dev"]}
HEADER = """\
# Made by `make lock` from pyproject.toml. torch is not here: the Makefile installs it first (TORCH=...).
# Each section needs those above it.
"""


def compiled(extras: list[str], known: Path, *more: str) -> dict[str, str]:
    """The lines of each package, hashes included, by its name."""
    with tempfile.TemporaryDirectory() as folder:
        excluded = Path(folder) / "excluded.txt"
        excluded.write_text("torch\n")
        output = Path(folder) / "requirements.lock"
        if known.exists():
            shutil.copyfile(known, output)
        subprocess.run(
            [
                "uv", "pip", "compile", ROOT / "pyproject.toml", *(f"--extra={extra}" for extra in extras),
                "--universal", "--python-version=3.11", "--generate-hashes", "--no-header", "--no-annotate",
                f"--excludes={excluded}", f"--output-file={output}", "--quiet", *more,
            ],
            check=True,
        )  # fmt: skip
        text = output.read_text()
    if re.search(r"https?://", text):
        raise SystemExit("the lock would name the host of a package; compile it from a plain index")
    blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)
    return {re.split(r"[=\s]", block, maxsplit=1)[0]: block for block in blocks if block.strip()}


def main() -> None:
    """Compile everything once, then ask which part of it each section needs."""
    everything = compiled(SECTIONS["dev"], LOCK, *sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        known = Path(folder) / "known.lock"
        known.write_text("".join(everything.values()))
        parts = {section: compiled(extras, known) for section, extras in SECTIONS.items()}
    text, written = HEADER, set[str]()
    for section, part in parts.items():
        names = [name for name in everything if name in part and name not in written]
        written.update(names)
        text += f"\n# === {section}\n" + "".join(everything[name] for name in names)
    LOCK.write_text(text)


if __name__ == "__main__":
    main()
