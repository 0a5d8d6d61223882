"""The lexicons: people, things, containers, places that stories draw from."""

from curriculum.problems.wording import Noun, Person

_SHE = (
    "Maya Aisha Sofia Mei Zara Lucia Anna Priya Nia Fatima Elena Yuki Grace Leila Ingrid Chloe Amara Rosa "
    "Hana Tala Naomi Freya Kiara Olga Wanjiru Ximena Salma Ines Thandi Linh"
)
_HE = (
    "Omar Liam Kofi Diego Arjun Noah Hiro Mateo Ivan Samuel Tariq Jonas Ravi Lucas Kwame Pedro Finn Ali "
    "Marco Tomas Chidi Minh Anton Rafael Yusuf Dylan Emeka Sven Tane Hugo"
)
PEOPLE = tuple([Person(name, "she") for name in _SHE.split()] + [Person(name, "he") for name in _HE.split()])


def _nouns(text: str) -> tuple[Noun, ...]:
    """Nouns separated by commas; 'box/boxes' where the plural is not simply -s."""
    pairs = [entry.strip().partition("/") for entry in text.split(",")]
    return tuple(Noun(one, many or one + "s") for one, _, many in pairs)


COLLECTED = _nouns(
    "marble, sticker, card, shell, button, bead, stamp, badge, coin, pebble, postcard, magnet, feather, "
    "key ring, toy car, puzzle piece, crayon, bracelet, poster, acorn"
)
"""Things a child may own dozens of."""

FRUIT = _nouns(
    "apple, orange, banana, pear, plum, peach/peaches, strawberry/strawberries, cherry/cherries, fig, apricot"
)
PLANTS = _nouns(
    "tomato plant, sunflower, rose bush/rose bushes, cabbage/cabbages, apple tree, tulip, bean plant, lettuce"
)
PACKED = _nouns(
    "pencil, crayon, cookie, egg, marble, orange, bottle, battery/batteries, candle, tile, light bulb, "
    "muffin, tennis ball, sticker, book, cup"
)
"""Things that come by the box."""

PACKAGES = _nouns("box/boxes, carton, crate, package")
GOODS = _nouns(
    "pencil, notebook, sandwich/sandwiches, juice, ruler, sticker sheet, apple, bus ticket, postcard, "
    "bread roll, yoghurt, pen, balloon, greeting card, muffin"
)
"""Things sold for a few dollars or less each."""

TREATS = _nouns(
    "sandwich/sandwiches, notebook, cinema ticket, paperback, poster, smoothie, salad, mug, pizza, magazine"
)
"""Things sold for a few whole dollars."""

LARGER_GOODS = _nouns(
    "jacket, backpack, lamp, football, chair, pair of shoes/pairs of shoes, board game, skateboard, headset, "
    "tent, watch/watches, toaster"
)
BULK = _nouns("apple, potato/potatoes, plum, carrot, tomato/tomatoes, orange, onion, peach/peaches")
"""Foods sold by weight, used in the plural."""

PLOTS = _nouns(
    "garden, field, playground, car park, swimming pool, sports hall, vegetable patch/vegetable patches"
)
SHEETS = _nouns("poster, card, photo, tile, tray, mat, picture, envelope, window")
VEHICLES = _nouns("train, bus/buses, car, lorry/lorries, coach/coaches, van, motorbike")
CREATURES = _nouns("duck, sheep/sheep, goat, hen, rabbit, pony/ponies, cow, goose/geese, turkey")
LETTERS = tuple(Noun(letter, letter) for letter in "xynkpwz")
"""Variables; letters that look like digits, units or the article are left out."""
