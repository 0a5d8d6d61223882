"""What counts as an answer to an exercise: the policy that travels with its key."""

import re
from dataclasses import asdict, dataclass

TYPES = ("number", "expression")
UNITS = ("required", "optional", "ignore")
FORM = re.compile(r"any|lowest|mixed|decimal:\d|factored|expanded")
TOLERANCE = re.compile(r"exact|sig:[1-9]")


@dataclass(frozen=True, slots=True)
class AnswerPolicy:
    """The answer's type, and how strict the check of unit, form and precision is."""

    type: str = "number"
    unit: str = "optional"
    form: str = "any"
    tolerance: str = "exact"
    ordered: bool = True
    locale: str = "en"

    def faults(self) -> list[str]:
        """Settings outside their vocabulary."""
        checks = (
            ("type", self.type in TYPES),
            ("unit", self.unit in UNITS),
            ("form", FORM.fullmatch(self.form)),
            ("tolerance", TOLERANCE.fullmatch(self.tolerance)),
        )
        return [f"policy: {name} {getattr(self, name)!r} is not known" for name, fits in checks if not fits]

    def as_dict(self) -> dict[str, str | bool]:
        """The policy as it stands in an item's JSON document."""
        return asdict(self)


DEFAULT_POLICY = AnswerPolicy()
