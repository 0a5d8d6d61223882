"""Word problems of equal groups, sharing and remainders."""

from curriculum.problems.draw import Draw
from curriculum.problems.numbers import Kind
from curriculum.problems.parameters import Parameter
from curriculum.problems.wording import Noun
from curriculum.problems.words import COLLECTED, PACKAGES, PACKED, PEOPLE, PLANTS, TREATS
from curriculum.problems.world import Entity, Quantity, Schema, Values, ask, event

_ITEM, _BOX = Entity("item", PACKED), Entity("box", PACKAGES)
_ROW = Entity("row", (Noun("row", "rows"),))


def _size(effect: float, cells: int = 1) -> Parameter:
    return Parameter("size", 4, 13, "largest size of a group", effect=effect, cells=cells)


def _groups(draw: Draw) -> tuple[int, int]:
    """How many groups, and how many in each."""
    return draw.integer(2, 10), draw.integer(max(3, draw.whole("size") - 3), draw.whole("size"))


def _boxes(draw: Draw) -> Values:
    groups, each = _groups(draw)
    return {"n": groups, "k": each, "x": groups * each}


def _prices(draw: Draw) -> Values:
    count, price = draw.integer(2, 10), draw.integer(2, draw.whole("price"))
    return {"n": count, "p": price, "x": count * price}


def _share(draw: Draw) -> Values:
    groups, each = _groups(draw)
    return {"t": groups * each, "n": groups, "x": each}


def _pack(draw: Draw) -> Values:
    groups, each = _groups(draw)
    return {"t": groups * each, "k": each, "x": groups}


def _left_over(draw: Draw) -> Values:
    groups, each = _groups(draw)
    rest = draw.integer(1, each - 1)
    return {"t": groups * each + rest, "k": each, "q": groups, "x": rest}


def _boxes_needed(draw: Draw) -> Values:
    groups, each = _groups(draw)
    rest = draw.integer(1, each - 1)
    return {"t": groups * each + rest, "k": each, "x": groups + 1}


_EQUAL = (
    Schema(
        name="groups_boxes",
        components=("equal_groups",),
        difficulty=-1.3,
        parameters=(_size(0.8, cells=2),),
        quantities=(Quantity("n", unit="box"), Quantity("k", unit="item"), Quantity("x", unit="item")),
        entities=(_BOX, _ITEM),
        unknown="x",
        events=(
            event(
                "There are {n} with {k} in each.",
                "A shop has {n}. Each {box:one} holds {k}.",
                "Each {box:one} holds {k}. There are {n}.",
            ),
            ask(
                "How many {item} are there altogether?",
                "How many {item} is that in all?",
                equations=("{x} = {n} * {k}",),
            ),
        ),
        draw=_boxes,
        hints=(
            "How many groups are there, and how many {item} in each?",
            "Equal groups are counted quickly by multiplying.",
            "Take {k:bare} as often as there are groups: {n:bare} × {k:bare}.",
        ),
    ),
    Schema(
        name="groups_rows",
        components=("equal_groups",),
        difficulty=-1.3,
        parameters=(_size(0.8),),
        quantities=(Quantity("n", unit="row"), Quantity("k", unit="plant"), Quantity("x", unit="plant")),
        entities=(_ROW, Entity("plant", PLANTS), Entity("who", PEOPLE)),
        unknown="x",
        events=(
            event("{who} plants {n} of {plant}.", "In {who}'s garden there are {n} of {plant}."),
            event("There are {k} in every row.", "Every row has {k}."),
            ask(
                "How many {plant} are there in all?",
                "How many {plant} does {who} have altogether?",
                equations=("{x} = {n} * {k}",),
            ),
        ),
        draw=_boxes,
        hints=(
            "Every row has equally many {plant}.",
            "Rows of the same length are counted by multiplying.",
            "Work out {n:bare} × {k:bare}.",
        ),
    ),
    Schema(
        name="groups_price",
        components=("equal_groups",),
        difficulty=-1.2,
        parameters=(Parameter("price", 3, 11, "highest price in dollars", effect=0.6),),
        quantities=(
            Quantity("p", Kind.MONEY, unit="$"),
            Quantity("n", unit="item"),
            Quantity("x", Kind.MONEY, unit="$"),
        ),
        entities=(Entity("who", PEOPLE), Entity("item", TREATS)),
        unknown="x",
        events=(
            event("{item:a} costs {p}.", "The price of {item:a} is {p}."),
            event("{who} buys {n}.", "{who} wants {n}."),
            ask(
                "How much is that altogether?",
                "How much does {who:she} have to pay?",
                equations=("{x} = {n} * {p}",),
            ),
        ),
        draw=_prices,
        hints=(
            "Every {item:one} costs the same. How many are bought?",
            "The same price, again and again: multiply.",
            "Work out {n:bare} × {p}.",
        ),
    ),
)

SCHEMAS = (
    *_EQUAL,
    Schema(
        name="share_equally",
        components=("word_sharing",),
        difficulty=-1.0,
        parameters=(_size(0.8, cells=2),),
        quantities=(Quantity("t", unit="item"), Quantity("n"), Quantity("x", unit="item")),
        entities=(Entity("who", PEOPLE), Entity("item", COLLECTED)),
        unknown="x",
        events=(
            event(
                "{who} shares {t} equally among {n} children.",
                "{t} are shared equally among {n} children.",
                "{n} children share {t}, and each gets equally many.",
            ),
            ask(
                "How many {item} does each child get?",
                "How many {item} are there for each child?",
                equations=("{n} * {x} = {t}",),
            ),
        ),
        draw=_share,
        hints=(
            "What is shared, and among how many?",
            "Sharing equally is dividing.",
            "Which number, taken {n:bare} times, makes {t:bare}?",
        ),
    ),
    Schema(
        name="pack_boxes",
        components=("word_sharing",),
        difficulty=-0.9,
        parameters=(_size(0.8, cells=2),),
        quantities=(Quantity("t", unit="item"), Quantity("k", unit="item"), Quantity("x", unit="box")),
        entities=(_ITEM, _BOX),
        unknown="x",
        events=(
            event("{t} are packed into {box}.", "A shop packs {t} into {box}."),
            event("Each {box:one} holds {k}.", "There are {k} in every full {box:one}."),
            ask(
                "How many {box} are filled?",
                "How many full {box} does that make?",
                equations=("{x} * {k} = {t}",),
            ),
        ),
        draw=_pack,
        hints=(
            "How many {item} go into a single {box:one}?",
            "Ask how often the size of a group fits into the whole: divide.",
            "Count up in steps of {k:bare} to {t:bare}. How many steps is that?",
        ),
    ),
    Schema(
        name="left_over",
        components=("divide_remainder", "word_sharing"),
        difficulty=-0.2,
        parameters=(_size(0.6),),
        quantities=(
            Quantity("t", unit="item"),
            Quantity("k", unit="item"),
            Quantity("q"),
            Quantity("x", unit="item"),
        ),
        entities=(_ITEM, _BOX),
        unknown="x",
        events=(
            event("{t} are packed into {box} of {k:bare}.", "A shop packs {t} into {box} of {k:bare}."),
            ask(
                "After filling as many {box} as possible, how many {item} are left over?",
                "How many {item} remain when no more {box} can be filled?",
                equations=("{q} = floor({t} / {k})", "{x} = {t} - {k} * {q}"),
            ),
        ),
        draw=_left_over,
        hints=(
            "Only full {box} count. What happens to the rest?",
            "Find the largest multiple of {k:bare} that is not above {t:bare}.",
            "Take the {item} in full {box} away from {t:bare}.",
        ),
    ),
    Schema(
        name="boxes_needed",
        components=("divide_remainder", "word_sharing"),
        difficulty=0.2,
        parameters=(_size(0.6),),
        quantities=(Quantity("t", unit="item"), Quantity("k", unit="item"), Quantity("x", unit="box")),
        entities=(_ITEM, _BOX),
        unknown="x",
        events=(
            event(
                "{t} must be packed. Each {box:one} holds up to {k}.",
                "Each {box:one} holds at most {k}. There are {t} to pack.",
            ),
            ask(
                "How many {box} are needed for all of them?",
                "What is the smallest number of {box} that holds them all?",
                equations=("{x} = ceil({t} / {k})",),
            ),
        ),
        draw=_boxes_needed,
        hints=(
            "May anything be left unpacked?",
            "Divide; if something remains, it needs a {box:one} of its own.",
            "How many full {box} of {k:bare} do {t:bare} make, and what about the rest?",
        ),
    ),
)
