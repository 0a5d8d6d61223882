"""What tracing costs while serving: one answer, a replay, a class's mastery, a state's bytes.

Baselines: the same update with the full covariance (dense numpy, in place; tests/tracing/oracle.py), the
replay one answer at a time, mastery one learner and component at a time, the bytes of the full covariance.
Times are thread CPU time.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

sys.path.insert(0, os.fspath(Path(__file__).resolve().parent.parent))

from tests.tracing.courses import MINUTE, SmallCourse, small_course
from tests.tracing.oracle import DenseFilter, as_answer
from tracing import KnowledgeState, Observation, filter_sequence, mastery, observe, start_state
from tracing.ednet import MS_PER_DAY
from tracing.psi_kt import PsiKT

TARGET_MICROSECONDS = 200.0


def course_of(components: int, items: int) -> SmallCourse:
    """Components in chains of five, each built on the one before; two an item, every one met."""
    edges = tuple((10 * k, 10 * k + 10) for k in range(1, components) if k % 5)
    course = small_course(components=components, items=items, edges=edges)
    pairs = [(10 * (1 + n % components), 10 * (1 + (n + items) % components)) for n in range(items)]
    return replace(course, tags=dict(zip(course.tags, pairs, strict=True)))


def practise_all(course: SmallCourse, items: int, generator: Generator) -> list[Observation]:
    """Answers a minute apart that meet every component and `items` items, then wander among those."""
    keys = list(course.tags)[:items]
    order = [*keys, *generator.choice(keys, 400).tolist()]
    return [
        Observation(
            int(item),
            course.tags[int(item)],
            bool(generator.random() < 0.6),
            20_000 + n * MINUTE / MS_PER_DAY,
        )
        for n, item in enumerate(order)
    ]


def microseconds(work: Callable[[Observation], object], events: list[Observation]) -> NDArray[np.float64]:
    """Thread CPU microseconds of each call."""
    spent = np.empty(len(events))
    for n, event in enumerate(events):
        began = time.thread_time_ns()
        work(event)
        spent[n] = (time.thread_time_ns() - began) / 1e3
    return spent


def seconds(work: Callable[[], object]) -> float:
    """Thread CPU seconds of one call."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


def one_update(components: int, items: int, events: int) -> list[tuple[str, float, str, float]]:
    """Median and 99th percentile of one observe, and of the dense update."""
    course = course_of(components, items)
    history = practise_all(course, items, np.random.default_rng(0))
    stands = [filter_sequence(start_state(course.parameters, 7), history, course.parameters)]
    if len(stands[0].components) != components:
        raise SystemExit(f"the state holds {len(stands[0].components)} components, not {components}")
    later = [replace(o, at=o.at + 1.0) for o in history[-400:]] * (events // 400 + 1)
    later = [replace(o, at=21_000 + n * MINUTE / MS_PER_DAY) for n, o in enumerate(later[:events])]

    def serve(event: Observation) -> None:
        stands[0] = observe(stands[0], event, course.parameters)

    dense = DenseFilter(course.parameters.population, components)
    ours = microseconds(serve, later)
    theirs = microseconds(lambda event: dense.observe(as_answer(event, course.parameters)), later[:300])
    label = f"one observe, {components} components, {items} items"
    return [
        (
            f"{label}, median (target {TARGET_MICROSECONDS:.0f})",
            float(np.median(ours)),
            "us",
            float(np.median(theirs)),
        ),
        (f"{label}, 99th percentile", float(np.quantile(ours, 0.99)), "us", float(np.quantile(theirs, 0.99))),
    ]


def replays(learners: int, answers: int) -> list[tuple[str, float, str, float]]:
    """Answers a second and core of the batch filter, against one by one."""
    course = course_of(60, 600)
    generator = np.random.default_rng(1)
    logs = [
        course.history(generator, int(n))
        for n in generator.integers(answers // 2, answers * 3 // 2, learners)
    ]
    sequences = course.sequences(logs)
    tracer = PsiKT(course.parameters)
    batch = sequences.rows / min(seconds(lambda: tracer.predict(sequences)) for _ in range(3))
    some = logs[: max(learners // 20, 1)]
    single = sum(map(len, some)) / seconds(
        lambda: [filter_sequence(start_state(course.parameters), log, course.parameters) for log in some]
    )
    return [(f"batch re-filter, {learners} learners x {answers}", batch, "answers/s/core", single)]


def classes(learners: int, components: int) -> list[tuple[str, float, str, float]]:
    """Mastery of a class in one call, against one at a time."""
    course = course_of(components, 10 * components)
    generator = np.random.default_rng(2)
    p, keys = course.parameters, course.parameters.component_keys.tolist()
    states: list[KnowledgeState] = [
        filter_sequence(start_state(p), course.history(generator, 100), p) for _ in range(learners)
    ]
    at = max(state.at for state in states)
    whole = min(seconds(lambda: mastery(states, keys, at, p)) for _ in range(10)) * 1e3
    single = seconds(lambda: [mastery([state], [key], at, p) for state in states for key in keys]) * 1e3
    return [(f"mastery, {learners} learners x {components} components", whole, "ms", single)]


def sizes(components: int, items: int) -> list[tuple[str, float, str, float]]:
    """Bytes of a state, against the upper triangle of the full covariance in single precision."""
    course = course_of(components, items)
    history = practise_all(course, items, np.random.default_rng(3))
    state = filter_sequence(start_state(course.parameters), history, course.parameters)
    if (len(state.components), len(state.items.keys)) != (components, items):
        raise SystemExit(f"the state holds {len(state.components)} components, {len(state.items.keys)} items")
    size, kept = len(state.to_bytes()), 14 * 4 * components
    wide = 2 + 2 * components
    dense = size - kept + 4 * wide * (wide + 1) // 2
    return [(f"state, {components} components, {items} items (at most 4096)", size, "bytes", dense)]


def main() -> None:
    """Print a line a claim."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--json", action="store_true", help="one JSON object a line")
    options.add_argument("--events", type=int, default=4000, help="answers timed")
    options.add_argument("--learners", type=int, default=256, help="learners replayed")
    given = options.parse_args()
    claims = [
        *one_update(300, 500, given.events),
        *replays(given.learners, 100),
        *classes(35, 50),
        *sizes(50, 40),
    ]
    for claim, value, unit, baseline in claims:
        line = {
            "claim": claim,
            "value": round(value, 2),
            "unit": unit,
            "baseline": round(baseline, 2),
            "ratio": round(value / baseline, 4),
        }
        print(json.dumps(line) if given.json else "  ".join(map(str, line.values())), flush=True)


if __name__ == "__main__":
    main()
