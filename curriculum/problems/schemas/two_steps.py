"""Word problems of two steps."""

from curriculum.problems.draw import Draw
from curriculum.problems.numbers import Kind
from curriculum.problems.parameters import Parameter
from curriculum.problems.words import COLLECTED, FRUIT, PACKAGES, PACKED, PEOPLE, TREATS
from curriculum.problems.world import Entity, Quantity, Schema, Values, ask, event

_WHO, _OTHER = Entity("who", PEOPLE), Entity("other", PEOPLE)
_ITEM = Entity("item", COLLECTED)


def _items(*names: str) -> tuple[Quantity, ...]:
    return tuple(Quantity(name, unit="item") for name in names)


def _size(high: float, effect: float) -> Parameter:
    return Parameter("size", 8, high, "largest amount told", effect=effect)


def _change_money(draw: Draw) -> Values | None:
    note = (10, 20, 50)[draw.whole("note")]
    count, price = draw.integer(2, 9), draw.integer(2, 8)
    cost = count * price
    if not note // 3 < cost < note:
        return None
    return {"n": count, "p": price, "t": note, "cost": cost, "x": note - cost}


def _extra(draw: Draw) -> Values:
    groups, each, loose = draw.integer(2, 9), draw.integer(3, 12), draw.integer(2, draw.whole("size"))
    return {"n": groups, "k": each, "b": loose, "packed": groups * each, "x": groups * each + loose}


def _two_changes(draw: Draw) -> Values | None:
    start = draw.whole("size")
    loss, gain = draw.integer(2, start - 2), draw.integer(2, start)
    if loss == gain:
        return None
    return {"start": start, "loss": loss, "gain": gain, "after": start - loss, "x": start - loss + gain}


def _compare_total(draw: Draw) -> Values:
    first, gap = draw.whole("size"), draw.integer(2, 20)
    return {"a": first, "gap": gap, "second": first + gap, "x": 2 * first + gap}


def _pick_and_share(draw: Draw) -> Values:
    count, each = draw.whole("count"), draw.integer(3, 12)
    total = count * each
    first = draw.integer(2, total - 2)
    return {"a": first, "b": total - first, "n": count, "total": total, "x": each}


SCHEMAS = (
    Schema(
        name="buy_and_change",
        components=("word_two_step", "equal_groups"),
        difficulty=-0.6,
        parameters=(Parameter("note", 0, 3, "the note paid with: $10, $20 or $50", effect=0.8, cells=3),),
        quantities=(
            Quantity("n", unit="item"),
            Quantity("p", Kind.MONEY, unit="$"),
            Quantity("t", Kind.MONEY, unit="$"),
            Quantity("cost", Kind.MONEY, unit="$"),
            Quantity("x", Kind.MONEY, unit="$"),
        ),
        entities=(_WHO, Entity("item", TREATS)),
        unknown="x",
        events=(
            event(
                "{who} buys {n} at {p} each.",
                "{who} buys {n}. Each {item:one} costs {p}.",
                equations=("{cost} = {n} * {p}",),
            ),
            event("{who:She} pays with a {t} note.", "{who:She} gives the cashier {t}."),
            ask(
                "How much change does {who:she} get?",
                "How much money does {who:she} get back?",
                equations=("{x} = {t} - {cost}",),
            ),
        ),
        draw=_change_money,
        hints=(
            "What has to be known before the change can be worked out?",
            "First find what everything costs, then take it from what was paid.",
            "The cost is {n:bare} × {p}. Take it away from {t}.",
        ),
    ),
    Schema(
        name="boxes_and_loose",
        components=("word_two_step", "equal_groups"),
        difficulty=-0.7,
        parameters=(_size(31, 0.4),),
        quantities=(
            Quantity("n", unit="box"),
            Quantity("k", unit="item"),
            Quantity("b", unit="item"),
            Quantity("packed", unit="item"),
            Quantity("x", unit="item"),
        ),
        entities=(_WHO, Entity("box", PACKAGES), Entity("item", PACKED)),
        unknown="x",
        events=(
            event(
                "{who} has {n} of {k}.",
                "On a shelf there are {n}, each with {k}.",
                equations=("{packed} = {n} * {k}",),
            ),
            event("There {b:is} also {b:loose}.", "Besides, there {b:is} {b:single}."),
            ask(
                "How many {item} is that altogether?",
                "How many {item} are there in all?",
                equations=("{x} = {packed} + {b}",),
            ),
        ),
        draw=_extra,
        hints=(
            "Some {item} are packed and some are not.",
            "First find how many are packed, then add the others.",
            "Packed are {n:bare} × {k:bare}. Then add {b:bare}.",
        ),
    ),
    Schema(
        name="two_changes",
        components=("word_two_step", "word_change"),
        difficulty=-1.0,
        parameters=(_size(61, 0.8),),
        quantities=_items("start", "loss", "gain", "after", "x"),
        entities=(_WHO, _OTHER, _ITEM),
        unknown="x",
        events=(
            event("{who} has {start}.", "At first {who} has {start}."),
            event(
                "{who} gives {loss} to {other}.",
                "Then {who} loses {loss}.",
                equations=("{after} = {start} - {loss}",),
            ),
            event("Later {who} finds {gain:more}.", "The next day {who} is given {gain}."),
            ask(
                "How many {item} does {who} have in the end?",
                "How many {item} does {who} have now?",
                equations=("{x} = {after} + {gain}",),
            ),
        ),
        draw=_two_changes,
        hints=(
            "Two things happen in turn. What does each do to the number of {item}?",
            "Work out how many are left after the first change, then do the second.",
            "Start with {start:bare}: take {loss:bare} away, then add {gain:bare}.",
        ),
    ),
    Schema(
        name="compare_and_total",
        components=("word_two_step", "word_compare"),
        difficulty=-0.5,
        parameters=(_size(51, 0.7),),
        quantities=_items("a", "gap", "second", "x"),
        entities=(_WHO, _OTHER, _ITEM),
        unknown="x",
        events=(
            event("{who} has {a}.", "{who} owns {a}."),
            event(
                "{other} has {gap:more} than {who}.",
                "{who} has {gap:fewer} than {other}.",
                equations=("{second} = {a} + {gap}",),
            ),
            ask(
                "How many {item} do they have together?",
                "How many {item} do {who} and {other} have altogether?",
                equations=("{x} = {a} + {second}",),
            ),
        ),
        draw=_compare_total,
        hints=(
            "Both amounts are needed, and only {who}'s is told.",
            "Find how many {other} has first; then put both together.",
            "{other} has {a:bare} + {gap:bare}. Add {who}'s {a:bare} to that.",
        ),
    ),
    Schema(
        name="pick_and_share",
        components=("word_two_step", "word_sharing"),
        difficulty=-0.4,
        parameters=(Parameter("count", 2, 7, "how many share", effect=0.5),),
        quantities=(*_items("a", "b"), Quantity("n"), *_items("total", "x")),
        entities=(_WHO, _OTHER, Entity("item", FRUIT)),
        unknown="x",
        events=(
            event(
                "{who} picks {a} and {other} picks {b}.",
                "{who} brings {a}, and {other} brings {b}.",
                equations=("{total} = {a} + {b}",),
            ),
            event(
                "They put all {item} equally into {n} bowls.",
                "All the {item} are shared out equally into {n} bowls.",
            ),
            ask(
                "How many {item} are in each bowl?",
                "How many {item} does each bowl hold?",
                equations=("{n} * {x} = {total}",),
            ),
        ),
        draw=_pick_and_share,
        hints=(
            "What is shared out: the {item} of {who} alone, or more?",
            "First find how many {item} there are together, then share them equally.",
            "Add {a:bare} and {b:bare}, then divide by {n}.",
        ),
    ),
)
