"""What a fit has to pass before it serves: pure numbers, from predictions of learners it has not seen.

    evidence   at least ENOUGH_ANSWERS held-out answers
    promoted   upper end of the 95 % interval of log loss (new - promoted), paired by learner, below .002
    irt        log loss below that of item response theory fitted to the same rows
    control    fitted to permuted labels, AUC within 3 standard errors of .5

The first fit of a course has no promoted fit to be compared with.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

from tracing.evaluate import Control
from tracing.metrics import log_loss, metrics, paired_bootstrap
from tracing.sequences import Floats, Sequences

ENOUGH_ANSWERS = 500
MARGIN = 0.002
"""Nats an answer by which a new fit may be worse, at the upper end of the interval."""
ERRORS = 3


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition: `passed` is None where it does not apply. `value` must lie below `limit`, but for
    evidence, where it must reach it."""

    name: str
    passed: bool | None
    value: float | None
    limit: float | None
    text: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What all gates say, and why in one line."""

    gates: tuple[Gate, ...]

    @property
    def passed(self) -> bool:
        """Whether no gate that applies was missed."""
        return all(gate.passed is not False for gate in self.gates)

    @property
    def reason(self) -> str:
        """Why the fit is kept, or that it passed."""
        missed = [gate for gate in self.gates if gate.passed is False]
        few = [gate for gate in missed if gate.name == "evidence"]
        return "; ".join(gate.text for gate in few or missed) or "all gates passed"

    def as_json(self) -> list[dict[str, Any]]:
        """The gates as they stand in the card and on the wire."""
        return [asdict(gate) for gate in self.gates]


def judge(
    new: Floats, irt: Floats, promoted: Floats | None, held_out: Sequences, control: Control
) -> Judgement:
    """Hold one-step predictions [R] of the held-out answers against each other.

    `promoted` is None for the first fit of a course; control: the fit's random-label control.
    """
    gates = (
        enough(held_out.rows),
        not_worse(new, promoted, held_out) if promoted is not None else NOTHING_TO_COMPARE,
        better_than_irt(new, irt, held_out),
        finds_nothing(control),
    )
    return Judgement(gates)


NOTHING_TO_COMPARE = Gate("promoted", None, None, MARGIN, "no fit serves the course yet")


def enough(answers: int) -> Gate:
    """Whether there are held-out answers enough to tell."""
    passed = answers >= ENOUGH_ANSWERS
    text = f"{answers:,} held-out answers"
    if not passed:
        text = f"not enough evidence: {text}, {ENOUGH_ANSWERS} are needed"
    return Gate("evidence", passed, float(answers), float(ENOUGH_ANSWERS), text)


def not_worse(new: Floats, promoted: Floats, held_out: Sequences) -> Gate:
    """Whether the new fit is at worst a hair worse than the one that serves."""
    if len(held_out.learners) < 2:
        text = "an interval over learners needs at least 2 held-out learners"
        return Gate("promoted", False, None, MARGIN, text)
    found = paired_bootstrap(new, promoted, held_out.correct, held_out.learner_of_row)
    sign = "below" if found.high < MARGIN else "not below"
    text = (
        f"log loss {found.value:+.4f} [{found.low:+.4f}, {found.high:+.4f}] against the promoted fit, "
        f"upper end {sign} {MARGIN:+.3f}"
    )
    return Gate("promoted", found.high < MARGIN, found.high, MARGIN, text)


def better_than_irt(new: Floats, irt: Floats, held_out: Sequences) -> Gate:
    """Whether the new fit predicts better than item response theory."""
    if not held_out.rows:
        return Gate("irt", False, None, None, "no held-out answer to compare with IRT on")
    ours, theirs = (float(log_loss(p, held_out.correct).mean()) for p in (new, irt))
    sign = "below" if ours < theirs else "not below"
    return Gate("irt", ours < theirs, ours, theirs, f"log loss {ours:.4f}, {sign} IRT's {theirs:.4f}")


def finds_nothing(control: Control) -> Gate:
    """Whether nothing is found where there is nothing to find."""
    if math.isnan(control.one_step_error):
        return Gate("control", False, None, None, "all held-out answers are alike: no AUC on permuted labels")
    limit = ERRORS * control.one_step_error
    text = f"AUC on permuted labels {within(control.one_step, limit)}"
    if control.multi_step is not None and control.multi_step_error is not None:
        text += f"; ten answers ahead {within(control.multi_step, ERRORS * control.multi_step_error)}"
    return Gate("control", control.passed, abs(control.one_step - 0.5), limit, text)


def within(auc: float, limit: float) -> str:
    """An AUC, and whether it lies within the limit of .5."""
    return f"{auc:.3f}, {'within' if abs(auc - 0.5) <= limit else 'not within'} .5 ± {limit:.3f}"


def figures(p: Floats, held_out: Sequences) -> dict[str, float | None]:
    """Metrics of predictions as JSON; nan (AUC of answers that are all alike) becomes null."""
    if not held_out.rows:
        return {"n": 0}
    found = asdict(metrics(p, held_out.correct))
    return {name: None if math.isnan(value) else round(value, 6) for name, value in found.items()}
