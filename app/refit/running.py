"""A run of the refit, from taking it up to the last state brought to the new fit. Here torch is loaded."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sqlalchemy import Engine

from app.ednet_files import course_frames
from app.ednet_files.rows import reading
from app.gates import Judgement, enough, figures, judge
from app.refit.card import describe
from app.refit.pulse import Pulse
from app.registry import NO_FIT, fail_fit, load_fit, promote, promoted_fit_id, save_fit
from app.replay import ReplayReport, replay_course
from app.runs import take_up
from app.settings import Settings
from tracing import Parameters
from tracing.baselines import load_model
from tracing.ednet import MS_PER_DAY
from tracing.evaluate import Control, random_label_control
from tracing.parameters import Keys
from tracing.psi_kt import PsiKT
from tracing.sequences import Flags, Floats, Sequences, build_sequences

REASON_LENGTH = 300
HELD_OUT_SHARE = 5
"""One learner in so many is never fitted on: the gates are judged on their answers."""


@dataclass(frozen=True, slots=True)
class Stage:
    """How far a run has come: step of steps of a phase; loss per answer, None where there is none."""

    phase: str
    step: int
    steps: int
    loss: float | None = None


@dataclass(frozen=True, eq=False)
class Trial:
    """A fit on trial: what was found, and what the gates say."""

    parameters: Parameters
    judgement: Judgement
    card: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Outcome:
    """How a run ended: the fit, whether it was promoted, and why."""

    fit_id: int
    course_id: int
    state: str
    reason: str
    judgement: Judgement
    card: dict[str, Any]
    replayed: ReplayReport | None


Tell = Callable[[Stage], None]


def carry_out(engine: Engine, settings: Settings, fit_id: int, tell: Tell | None = None) -> Outcome:
    """Do a waiting run (`app.runs.begin_run`). What goes wrong is recorded before it is raised.

    Promotes the fit when all gates are passed, or when the run was asked to `force` it; then the course's
    learners are gone through anew.
    """
    with engine.begin() as connection:
        course_id, asked = take_up(connection, fit_id)
    with Pulse(engine, fit_id, {"asked": asked}) as pulse:

        def say(stage: Stage) -> None:
            pulse.beat(stage.phase, stage.step, stage.steps, stage.loss)
            if tell is not None:
                tell(stage)

        try:
            trial = try_fit(engine, settings, course_id, asked, say)
            state, reason = keep(engine, settings, fit_id, asked, trial)
        except (Exception, KeyboardInterrupt) as error:
            with engine.begin() as connection:
                fail_fit(connection, fit_id, one_line(error))
            raise
        pulse.card = trial.card
        replayed = None
        if state == "promoted":

            def on_batch(report: ReplayReport, learners: int) -> None:
                say(Stage("replaying", report.learners, learners))

            say(Stage("replaying", 0, 1))
            replayed = replay_course(engine, settings.artifact_dir, course_id, on_batch=on_batch)
        say(Stage("done", 1, 1))
    return Outcome(fit_id, course_id, state, reason, trial.judgement, trial.card, replayed)


def one_line(error: BaseException) -> str:
    """What went wrong in one line, for lists; libraries may add pages."""
    first = str(error).strip().split("\n", 1)[0]
    return f"{type(error).__name__}: {first}"[:REASON_LENGTH]


def is_held_out(learners: Keys) -> Flags:
    """Which learners are never fitted on, bool [L]: by their key alone, hence the same in every refit."""
    mixed = learners.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)  # splitmix64
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    held: Flags = (mixed ^ (mixed >> np.uint64(31))) % np.uint64(HELD_OUT_SHARE) == 0
    return held


@dataclass(frozen=True, eq=False)
class Answers:
    """All labelled answers of a course, parted by learner. cutoff: moment of the last (Unix ms), or None."""

    everyone: Sequences
    train: Sequences
    held_out: Sequences
    cutoff: int | None

    @property
    def counts(self) -> dict[str, int]:
        """How much there is, for the card."""
        catalogue = self.everyone.catalogue
        return {
            "answers": self.everyone.rows,
            "learners": len(self.everyone.learners),
            "items": catalogue.items,
            "components": catalogue.components,
            "prerequisites": len(catalogue.edges),
            "held_out_learners": len(self.held_out.learners),
            "held_out_answers": self.held_out.rows,
        }


def read_answers(engine: Engine, course_id: int) -> Answers:
    """The answers of a course, those of held-out learners apart."""
    answers, items, edges = course_frames(engine, course_id)
    everyone = build_sequences(answers, items, edges)
    held = is_held_out(everyone.learners)
    return Answers(
        everyone,
        everyone.select(np.flatnonzero(~held)),
        everyone.select(np.flatnonzero(held)),
        round(float(everyone.days.max()) * MS_PER_DAY) if everyone.rows else None,
    )


def try_fit(engine: Engine, settings: Settings, course_id: int, asked: dict[str, Any], say: Tell) -> Trial:
    """Fit the course's learners that are not held out, and judge the fit on those that are."""
    from tracing.fit import FitConfig, Progress, fit  # noqa: PLC0415 (torch takes seconds to load)

    def on_step(progress: Progress) -> None:
        loss = None if np.isnan(progress.loss) else progress.loss
        say(Stage(progress.phase, progress.step, progress.steps, loss))

    started = time.perf_counter()
    say(Stage("reading", 0, 1))
    with reading(engine) as connection:
        parent = promoted_fit_id(connection, course_id)
        promoted = None if parent == NO_FIT else load_fit(connection, settings.artifact_dir, parent)
    answers = read_answers(engine, course_id)
    config = FitConfig(seed=asked["seed"], **({"steps": asked["steps"]} if asked.get("steps") else {}))
    brief = replace(config, steps=max(config.steps // 6, 5))
    found = fit(answers.train, config, settings.device, promoted, on_step)

    def fit_briefly(permuted: Sequences) -> PsiKT:
        say(Stage("control", 0, 1))
        return PsiKT(fit(permuted, brief, settings.device).parameters)

    def control() -> Control:
        return random_label_control(fit_briefly, answers.train, answers.held_out, config.seed)

    say(Stage("judging", 0, 1))
    judgement, measured = judge_fit(found.parameters, promoted, answers, control)
    card = {
        "course_id": course_id,
        "parent": promoted.fit_id if promoted is not None else None,
        "seed": config.seed,
        "asked": asked,
        "cutoff": answers.cutoff,
        "counts": answers.counts,
        "metrics": measured,
        "gates": judgement.as_json(),
        "passed": judgement.passed,
        "control": f"PSI-KT fitted with {brief.steps} steps to labels permuted over all rows",
        "fit": found.metrics,
        "seconds": {"fit_cpu": round(found.seconds, 2), "whole": round(time.perf_counter() - started, 2)},
        **describe(),
    }
    return Trial(found.parameters, judgement, card)


def judge_fit(
    new: Parameters, promoted: Parameters | None, answers: Answers, control: Callable[[], Control]
) -> tuple[Judgement, dict[str, Any]]:
    """What the gates say, and the metrics of every model on the held-out answers.

    With too few answers to tell, the costly comparisons are left out.
    """
    held_out = answers.held_out
    evidence = enough(held_out.rows)
    if not evidence.passed:
        return Judgement((evidence,)), {"psi_kt": figures(predictions(new, held_out), held_out)}
    ours, theirs = predictions(new, held_out), load_model("irt")(answers.train).predict(held_out).one_step
    before = None if promoted is None else predictions(promoted, held_out)
    found = control()
    measured = {"psi_kt": figures(ours, held_out), "irt": figures(theirs, held_out)}
    if before is not None:
        measured["promoted"] = figures(before, held_out)
    return judge(ours, theirs, before, held_out, found), measured


def predictions(parameters: Parameters, held_out: Sequences) -> Floats:
    """One-step probabilities of a fit for the held-out answers [R]."""
    return PsiKT(parameters).predict(held_out).one_step if held_out.rows else np.empty(0)


def keep(
    engine: Engine, settings: Settings, fit_id: int, asked: dict[str, Any], trial: Trial
) -> tuple[str, str]:
    """Save the fit and let it serve if it may: (state, reason). Both in one transaction."""
    forced = not trial.judgement.passed and bool(asked.get("force"))
    reason = trial.judgement.reason
    if forced:
        reason = f"forced by {asked['actor']} in spite of: {reason}"
        trial.card["forced"] = True
    settings.artifact_dir.mkdir(parents=True, exist_ok=True)
    with engine.begin() as connection:
        save_fit(connection, settings.artifact_dir, fit_id, trial.parameters, trial.card, reason)
        if trial.judgement.passed or forced:
            promote(connection, fit_id, asked["actor"], reason)
            return "promoted", reason
    return "kept", reason
