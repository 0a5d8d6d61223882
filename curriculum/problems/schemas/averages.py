"""Averages."""

from curriculum.problems.draw import Draw
from curriculum.problems.parameters import Parameter
from curriculum.problems.wording import Noun
from curriculum.problems.world import Entity, Event, Quantity, Schema, Values, ask, event

_TOPICS = (
    Noun("goal", "goals"), Noun("page", "pages"), Noun("point", "points"), Noun("visitor", "visitors"),
    Noun("text message", "text messages"), Noun("bicycle", "bicycles"),
)  # fmt: skip


def _average(count: int, difficulty: float, cells: int) -> Schema:
    """The mean of `count` whole numbers, which is whole as well."""
    names = tuple(f"n{index}" for index in range(1, count + 1))

    return Schema(
        name=f"average_{count}",
        components=("average",),
        difficulty=difficulty,
        parameters=(Parameter("mean", 5, 45, "the mean itself", effect=0.6, cells=cells),),
        quantities=(
            *(Quantity(name) for name in names),
            Quantity("count", implied=True),
            Quantity("total"),
            Quantity("x"),
        ),
        unknown="x",
        events=(_mean_of(names),),
        draw=lambda draw: _mean_world(draw, names),
        hints=(
            "The mean is what each would be if the same total were spread evenly.",
            "Add all the numbers, then divide by how many there are.",
            "Begin the total with {n1} + {n2}. How many numbers are there to divide by?",
        ),
    )


def _mean_world(draw: Draw, names: tuple[str, ...]) -> Values | None:
    mean = draw.whole("mean")
    known = [draw.integer(mean // 2 + 1, mean + mean // 2) for _ in names[1:]]
    last = mean * len(names) - sum(known)
    if last < 1:
        return None
    numbers: Values = dict(zip(names, (*known, last), strict=True))
    return {**numbers, "count": len(names), "total": mean * len(names), "x": mean}


def _mean_of(names: tuple[str, ...]) -> Event:
    listed = ", ".join(f"{{{name}}}" for name in names[:-1]) + f" and {{{names[-1]}}}"
    total = " + ".join(f"{{{name}}}" for name in names)
    return ask(
        f"Find the mean of {listed}.",
        f"What is the average of {listed}?",
        f"Work out the mean of these numbers: {listed}.",
        equations=(f"{{total}} = {total}", "{x} = {total} / {count}"),
    )


def _missing_value(draw: Draw) -> Values | None:
    mean = draw.whole("mean")
    known = [draw.integer(mean // 2 + 1, mean + mean // 2) for _ in range(2)]
    last = 3 * mean - sum(known)
    return {"m": mean, "a": known[0], "b": known[1], "total": 3 * mean, "x": last} if last > 0 else None


SCHEMAS = (
    _average(3, -0.1, cells=2),
    _average(5, 0.3, cells=1),
    Schema(
        name="average_missing",
        components=("average", "equation_add"),
        difficulty=0.9,
        parameters=(Parameter("mean", 5, 45, "the mean itself", effect=0.5),),
        quantities=(
            Quantity("m"),
            Quantity("a", unit="topic"),
            Quantity("b"),
            Quantity("total"),
            Quantity("x", unit="topic"),
        ),
        entities=(Entity("topic", _TOPICS),),
        unknown="x",
        events=(
            event(
                "Over three days the mean number of {topic} was {m}.",
                "On average there were {m} {topic} a day over three days.",
                equations=("{total} = 3 * {m}",),
            ),
            event(
                "The first day brought {a} and the second {b}.",
                "There were {a} on the first day and {b} on the second.",
            ),
            ask(
                "How many were there on the third day?",
                "How many did the third day bring?",
                equations=("{a} + {b} + {x} = {total}",),
            ),
        ),
        draw=_missing_value,
        hints=(
            "From the mean you can find the total of all three days.",
            "The total is the mean times the number of days; take away what you know.",
            "Take {a:bare} and {b:bare} away from three times {m}.",
        ),
    ),
)
