"""What a card says of where a fit was made."""

import os
import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def describe() -> dict[str, Any]:
    """Machine and program of a fit, as far as they are known. Loads torch."""
    import torch  # noqa: PLC0415 (takes seconds to load)

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    hardware = {"processor": device, "cpus": os.cpu_count(), "threads": torch.get_num_threads()}
    program = {"proxima": version("proxima"), "torch": torch.__version__, "python": platform.python_version()}
    return {"hardware": hardware, "program": program, "commit": commit()}


def commit() -> str | None:
    """The commit of the checkout that the program runs from; None where it is installed without one."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        return None
    found = subprocess.run([git, "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True)  # noqa: S603
    return found.stdout.strip() if found.returncode == 0 else None
