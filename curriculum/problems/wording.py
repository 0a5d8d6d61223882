"""Phrases with slots, and the words that fill them.

A template reads `{who} has {start}. {who:She} finds {gain:more}.` A slot names an entity or a quantity;
after the colon stands its form:

* entity, a noun: none = plural, `one` = singular, `a` = with its article
* entity, a person: none = the name, `she`/`She`, `her` (object), `hers` (possessive: her hat), each in the
  person's own pronouns
* quantity: none = number and unit ("5 apples"), `bare` = number only, `is` = "is" or "are" (does not show
  the number), `paren` = in brackets when negative, `signed` = "+ 5" or "− 5", `times` = a coefficient
  ("3", "" for 1, "−" for -1), `plus_times` = a coefficient with its sign ("+ 3", "+ " for 1, "− " for -1);
  any other word is put between number and noun: `{gain:more}` = "5 more apples"

In equations a quantity has no form, or `signed`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from string import Formatter

HIDING_FORMS = frozenset({"is"})
"""Forms of a quantity that do not show its value."""

NUMBER_FORMS = frozenset({"", "bare", "is", "paren", "signed", "times", "plus_times"})
EQUATION_FORMS = frozenset({"", "signed"})
NOUN_FORMS = frozenset({"", "one", "a"})
PERSON_FORMS = frozenset({"", "she", "She", "her", "hers"})

_PRONOUNS = {"she": ("she", "her", "her"), "he": ("he", "him", "his")}


@dataclass(frozen=True, slots=True)
class Noun:
    """A thing that can be counted."""

    one: str
    many: str

    def text(self, form: str) -> str:
        """The noun in the form asked for."""
        if form == "":
            return self.many
        return self.one if form == "one" else f"{article(self.one)} {self.one}"

    def counted(self, number: str, is_one: bool, modifier: str = "") -> str:
        """The noun behind a number: '1 apple', '5 more apples'."""
        noun = self.one if is_one else self.many
        return f"{number} {modifier} {noun}" if modifier else f"{number} {noun}"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in a story."""

    name: str
    pronoun: str

    def text(self, form: str) -> str:
        """The name or a pronoun."""
        if form == "":
            return self.name
        subject, other, possessive = _PRONOUNS[self.pronoun]
        return {"she": subject, "She": subject.capitalize(), "her": other, "hers": possessive}[form]


Word = Noun | Person


def article(word: str) -> str:
    """'a' or 'an', by the first letter."""
    return "an" if word[0] in "aeiou" else "a"


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in a phrase: the entity or quantity that fills it, and in which form."""

    name: str
    form: str


@dataclass(frozen=True, slots=True)
class Phrase:
    """A template cut at its slots."""

    template: str
    segments: tuple[str | Slot, ...]

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The slots, in order."""
        return tuple(segment for segment in self.segments if isinstance(segment, Slot))

    def fill(self, text_of: Callable[[Slot], str]) -> str:
        """The phrase with every slot replaced by `text_of(slot)`."""
        return "".join(s if isinstance(s, str) else text_of(s) for s in self.segments)


def phrase(template: str) -> Phrase:
    """Read a template. Raises ValueError for a brace without its partner."""
    segments: list[str | Slot] = []
    try:
        for literal, name, form, _ in Formatter().parse(template):
            if literal:
                segments.append(literal)
            if name is not None:
                segments.append(Slot(name, form or ""))
    except ValueError as error:
        raise ValueError(f"template {template!r}: {error}") from None
    return Phrase(template, tuple(segments))


def sentence(text: str) -> str:
    """`text` beginning with a capital letter; a text beginning with a digit or sign stays as it is."""
    return text[:1].upper() + text[1:]
