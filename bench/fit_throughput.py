"""What a fit costs: CPU seconds by phase, and answers a second, against an IRT fit of the same answers.

Folds 0-2 of ednet_santa (target: 120 CPU seconds) where the data are there, and a simulated course always. On
a CUDA device the seconds are wall-clock and the line says so.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import torch

sys.path.insert(0, os.fspath(Path(__file__).resolve().parent.parent))

from tracing.baselines import load_model
from tracing.fit import FitConfig, Progress, choose_device, fit
from tracing.folder import read_folder
from tracing.sequences import Sequences, build_sequences
from tracing.simulate import draw_parameters, simulate

SANTA = Path(__file__).resolve().parents[2] / "shared" / "data" / "kt" / "ednet_santa"
TARGET_SECONDS = 120


def simulated(learners: int, answers: int) -> Sequences:
    """A course of 40 components in chains of five and 400 items."""
    generator = np.random.default_rng(0)
    items = pl.DataFrame(
        {"item": range(1, 401), "components": [[1 + n // 10] for n in range(400)]},
        schema={"item": pl.Int64, "components": pl.List(pl.Int64)},
    )
    edges = [(k, k + 1) for k in range(1, 40) if k % 5]
    truth = draw_parameters(items, edges, generator)
    found = simulate(truth, items, np.full(learners, answers), generator)
    return build_sequences(found.answers, items, edges)


def courses(learners: int, answers: int) -> Iterator[tuple[str, Sequences]]:
    """What is fitted, by name."""
    yield f"simulated course, {learners} learners x {answers}", simulated(learners, answers)
    if SANTA.is_dir():
        found = read_folder(SANTA, range(3))
        yield (
            f"ednet_santa folds 0-2 (target {TARGET_SECONDS} CPU-s)",
            build_sequences(found.answers, found.items),
        )
    else:
        print(f"{SANTA} is not there: the simulated course alone is measured", file=sys.stderr)


def measure(sequences: Sequences, device: torch.device, clock: Callable[[], float]) -> dict[str, float]:
    """Seconds of each phase of a fit, `total`, and those of an IRT fit."""
    began = clock()
    reached: dict[str, float] = {}

    def note(progress: Progress) -> None:
        reached[progress.phase] = clock()

    fit(sequences, FitConfig(), str(device), on_step=note)
    spent, last = {}, began
    for phase, moment in reached.items():
        spent[phase], last = moment - last, moment
    spent["total"] = clock() - began
    began = clock()
    load_model("irt")(sequences)
    spent["irt"] = clock() - began
    return spent


def main() -> None:
    """Print a line a claim."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--json", action="store_true", help="one JSON object a line")
    options.add_argument("--device", default="cpu", help="cpu, cuda or auto")
    options.add_argument("--learners", type=int, default=300, help="learners of the simulated course")
    options.add_argument("--answers", type=int, default=100, help="answers of each")
    given = options.parse_args()
    device = choose_device(given.device)
    clock, unit = (time.process_time, "CPU-s") if device.type == "cpu" else (time.perf_counter, "s")
    for name, sequences in courses(given.learners, given.answers):
        spent = measure(sequences, device, clock)
        irt = spent.pop("irt")
        rows = [(f"fit on {device.type}, {name}: {phase}", s, unit, irt) for phase, s in spent.items()]
        rate = sequences.rows / spent["total"]
        rows.append(
            (
                f"fit on {device.type}, {name}: {sequences.rows} answers",
                rate,
                f"answers/{unit}",
                sequences.rows / irt,
            )
        )
        for claim, value, measured_in, baseline in rows:
            line = {
                "claim": claim,
                "value": round(value, 2),
                "unit": measured_in,
                "baseline": round(baseline, 2),
                "ratio": round(value / baseline, 4),
            }
            print(json.dumps(line) if given.json else "  ".join(map(str, line.values())), flush=True)


if __name__ == "__main__":
    main()
