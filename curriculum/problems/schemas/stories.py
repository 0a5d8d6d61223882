"""Word problems of a single sum or difference: change, combine, compare."""

from curriculum.problems.draw import Draw
from curriculum.problems.parameters import Parameter
from curriculum.problems.wording import Noun
from curriculum.problems.words import COLLECTED, CREATURES, PEOPLE
from curriculum.problems.world import Entity, Quantity, Schema, Values, ask, event

_WHO, _OTHER = Entity("who", PEOPLE), Entity("other", PEOPLE)
_ITEM = Entity("item", COLLECTED)
_ANIMAL = Entity("animal", (Noun("animal", "animals"),))


def _size(effect: float, cells: int = 1) -> Parameter:
    return Parameter("size", 6, 66, "the largest amount of the story", effect=effect, cells=cells)


def _items(*names: str) -> tuple[Quantity, ...]:
    return tuple(Quantity(name, unit="item") for name in names)


def _split(draw: Draw) -> tuple[int, int, int]:
    """A whole, which is the parameter `size`, and its two parts."""
    whole = draw.whole("size")
    part = draw.integer(2, whole - 2)
    return whole, part, whole - part


def _gain(draw: Draw) -> Values:
    after, start, gain = _split(draw)
    return {"start": start, "gain": gain, "x": after}


def _loss(draw: Draw) -> Values:
    start, loss, after = _split(draw)
    return {"start": start, "loss": loss, "x": after}


def _amount(draw: Draw) -> Values:
    after, start, gain = _split(draw)
    return {"start": start, "after": after, "x": gain}


def _start(draw: Draw) -> Values:
    start, loss, after = _split(draw)
    return {"loss": loss, "after": after, "x": start}


def _combine(draw: Draw) -> Values:
    whole, first, second = _split(draw)
    return {"a": first, "b": second, "x": whole}


def _combine_part(draw: Draw) -> Values:
    whole, first, second = _split(draw)
    return {"t": whole, "a": first, "x": second}


def _compare(draw: Draw) -> Values:
    larger, smaller, gap = _split(draw)
    return {"a": larger, "b": smaller, "x": gap}


def _larger(draw: Draw) -> Values:
    larger, smaller, gap = _split(draw)
    return {"a": smaller, "gap": gap, "x": larger}


def _smaller(draw: Draw) -> Values:
    larger, smaller, gap = _split(draw)
    return {"a": larger, "gap": gap, "x": smaller}


_HAS = event(
    "{who} has {start}.", "At first {who} has {start}.", "There {start:is} {start} in {who}'s collection."
)

_CHANGE = (
    Schema(
        name="change_gain",
        components=("word_change",),
        difficulty=-2.2,
        parameters=(_size(0.9, cells=2),),
        quantities=_items("start", "gain", "x"),
        entities=(_WHO, _ITEM),
        unknown="x",
        events=(
            _HAS,
            event(
                "{who:She} finds {gain:more}.",
                "A friend gives {who:her} {gain:more}.",
                "{who:She} gets {gain:more} for {who:hers} birthday.",
            ),
            ask(
                "How many {item} does {who} have now?",
                "How many {item} does {who:she} have altogether?",
                "How many {item} is that in all?",
                equations=("{x} = {start} + {gain}",),
            ),
        ),
        draw=_gain,
        hints=(
            "Does the number of {item} grow or shrink?",
            "More {item} come to those that were there: add.",
            "Start with {start:bare} and add the {gain:bare} that came.",
        ),
    ),
    Schema(
        name="change_loss",
        components=("word_change",),
        difficulty=-2.0,
        parameters=(_size(0.9, cells=2),),
        quantities=_items("start", "loss", "x"),
        entities=(_WHO, _ITEM),
        unknown="x",
        events=(
            _HAS,
            event(
                "{who:She} gives {loss} to a friend.",
                "Then {who:she} loses {loss}.",
                "{who:She} swaps {loss} for a book.",
            ),
            ask(
                "How many {item} does {who} have left?",
                "How many {item} are left?",
                "How many {item} does {who:she} still have?",
                equations=("{x} = {start} - {loss}",),
            ),
        ),
        draw=_loss,
        hints=(
            "Does the number of {item} grow or shrink?",
            "Some {item} go away: subtract.",
            "Start with {start:bare} and take away the {loss:bare} that went.",
        ),
    ),
    Schema(
        name="change_amount",
        components=("word_change", "missing_addend"),
        difficulty=-1.4,
        parameters=(_size(0.9),),
        quantities=_items("start", "after", "x"),
        entities=(_WHO, _ITEM),
        unknown="x",
        events=(
            _HAS,
            event(
                "{who:She} finds some more, and now {who:she} has {after}.",
                "A friend gives {who:her} some more. Now {who:she} has {after}.",
            ),
            ask(
                "How many {item} did {who:she} get?",
                "How many {item} were added?",
                equations=("{start} + {x} = {after}",),
            ),
        ),
        draw=_amount,
        hints=(
            "You know how many there were before and after. What is missing?",
            "What must be added to the first number to reach the last?",
            "Count up from {start:bare} to {after:bare}, or subtract.",
        ),
    ),
    Schema(
        name="change_start",
        components=("word_change",),
        difficulty=-1.2,
        parameters=(_size(0.9),),
        quantities=_items("loss", "after", "x"),
        entities=(_WHO, _ITEM),
        unknown="x",
        events=(
            event("{who} had some {item}.", "{who} had a collection of {item}."),
            event(
                "{who:She} gave {loss} away and has {after} left.",
                "After giving {loss} to a friend, {who:she} has {after}.",
                equations=("{x} - {loss} = {after}",),
            ),
            ask(
                "How many {item} did {who:she} have at first?", "How many {item} were there at the beginning?"
            ),
        ),
        draw=_start,
        hints=(
            "The story is told forwards, but the beginning is what is missing.",
            "Run the story backwards: what was given away comes back.",
            "Now there are {after:bare}. Put back the {loss:bare} that were given away.",
        ),
    ),
)

_COMBINE = (
    Schema(
        name="combine_total",
        components=("word_combine",),
        difficulty=-2.0,
        parameters=(_size(0.9, cells=2),),
        quantities=(Quantity("a", unit="first"), Quantity("b", unit="second"), Quantity("x", unit="animal")),
        entities=(Entity("first", CREATURES), Entity("second", CREATURES), _ANIMAL),
        unknown="x",
        events=(
            event(
                "There are {a} and {b} on a farm.",
                "A farmer keeps {a} and {b}.",
                "{a} and {b} share a meadow.",
            ),
            ask(
                "How many {animal} is that altogether?",
                "How many {animal} are there in all?",
                equations=("{x} = {a} + {b}",),
            ),
        ),
        draw=_combine,
        hints=(
            "Two groups are looked at together.",
            "The whole is made of both parts: add them.",
            "Add {a:bare} and {b:bare}.",
        ),
    ),
    Schema(
        name="combine_part",
        components=("word_combine",),
        difficulty=-1.6,
        parameters=(_size(0.9, cells=2),),
        quantities=(Quantity("t", unit="animal"), Quantity("a", unit="first"), Quantity("x", unit="second")),
        entities=(Entity("first", CREATURES), Entity("second", CREATURES), _ANIMAL),
        unknown="x",
        events=(
            event(
                "There are {t} on a farm: {a}, and the rest are {second}.",
                "A farmer keeps {t}: {a}, and all others are {second}.",
                equations=("{a} + {x} = {t}",),
            ),
            ask("How many {second} are there?", "How many {second} is that?"),
        ),
        draw=_combine_part,
        hints=(
            "Which number is the whole, and which is a part of it?",
            "The whole without the part you know leaves the other part.",
            "Take {a:bare} away from {t:bare}.",
        ),
    ),
)

_COMPARE = (
    Schema(
        name="compare_difference",
        components=("word_compare",),
        difficulty=-1.6,
        parameters=(_size(0.9, cells=2),),
        quantities=_items("a", "b", "x"),
        entities=(_WHO, _OTHER, _ITEM),
        unknown="x",
        events=(
            event("{who} has {a}.", "{who} owns {a}."),
            event("{other} has {b}.", "{other} owns {b}."),
            ask(
                "How many more {item} does {who} have than {other}?",
                "How many fewer {item} does {other} have than {who}?",
                equations=("{x} = {a} - {b}",),
            ),
        ),
        orders=((0, 1, 2), (1, 0, 2)),
        draw=_compare,
        hints=(
            "Two amounts are compared. You look for the gap between them.",
            "The gap is the larger amount less the smaller.",
            "How far is it from {b:bare} up to {a:bare}?",
        ),
    ),
    Schema(
        name="compare_larger",
        components=("word_compare",),
        difficulty=-1.4,
        parameters=(_size(0.9),),
        quantities=_items("a", "gap", "x"),
        entities=(_WHO, _OTHER, _ITEM),
        unknown="x",
        events=(
            event("{who} has {a}.", "{who} owns {a}."),
            event(
                "{other} has {gap:more} than {who}.",
                "{who} has {gap:fewer} than {other}.",
                equations=("{x} = {a} + {gap}",),
            ),
            ask("How many {item} does {other} have?", "How many {item} does {other} own?"),
        ),
        draw=_larger,
        hints=(
            "Who has more {item}, {who} or {other}?",
            "Be careful with the words more and fewer: decide first whose amount is larger.",
            "{other} has the larger amount. {who} has {a:bare}, and the gap is {gap:bare}.",
        ),
    ),
    Schema(
        name="compare_smaller",
        components=("word_compare",),
        difficulty=-1.2,
        parameters=(_size(0.9),),
        quantities=_items("a", "gap", "x"),
        entities=(_WHO, _OTHER, _ITEM),
        unknown="x",
        events=(
            event("{who} has {a}.", "{who} owns {a}."),
            event(
                "{who} has {gap:more} than {other}.",
                "{other} has {gap:fewer} than {who}.",
                equations=("{x} = {a} - {gap}",),
            ),
            ask("How many {item} does {other} have?", "How many {item} does {other} own?"),
        ),
        draw=_smaller,
        hints=(
            "Who has more {item}, {who} or {other}?",
            "Be careful with the words more and fewer: decide first whose amount is larger.",
            "{other} has the smaller amount. {who} has {a:bare}, and the gap is {gap:bare}.",
        ),
    ),
)

SCHEMAS = (*_CHANGE, *_COMBINE, *_COMPARE)
