"""Tasks that the text engine was not tuned on: written after its settings were fixed, run once.

It was known in advance that phone numbers, slugs, plurals, vowels and reversal would be included.

As in `text_tasks.py`, each returns (training examples, held-out examples).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from benchmarks.text_tasks import Split, Task, split, take_distinct
from tunedmodels.datasets.examples import Example


def _words(text: str) -> list[str]:
    return text.split()


_PEOPLE = _words("anna ben clara dan eva finn greta hugo ida jan kim lena max nina otto pia")
_HOSTS = _words("mail post inbox web cloud office team corp shop studio garden north south east")
_ENDINGS = _words("com org net de io eu")
_COLORS = _words("red blue green black white yellow silver brown")
_THINGS = _words(
    """
    apple river candle bridge window basket ladder mirror pencil wallet garden engine bottle
    feather hammer island jacket kettle lantern magnet needle orchard paddle quilt rocket saddle
    tractor umbrella violin wagon anchor blanket compass drum easel falcon goblet helmet
    """
)


def phone(rng: random.Random) -> Split:
    """Return telephone numbers in five styles, which become one."""

    def draw() -> Example:
        a, b, c = rng.randrange(200, 999), rng.randrange(200, 999), rng.randrange(10000)
        style = rng.choice(
            ["({}) {}-{:04}", "{}.{}.{:04}", "{} {} {:04}", "{}-{}-{:04}", "{}{}{:04}"]
        )
        return Example(style.format(a, b, c), f"+1-{a}-{b}-{c:04}")

    return split(draw, 100, 100)


def mail_domain(rng: random.Random) -> Split:
    """Return e-mail addresses, of which the domain is the answer."""

    def draw() -> Example:
        user = rng.choice(_PEOPLE) + rng.choice(["", ".", "_"]) + rng.choice(_PEOPLE)
        host = ".".join(rng.sample(_HOSTS, rng.randint(1, 2)))
        domain = f"{host}.{rng.choice(_ENDINGS)}"
        return Example(f"{user}{rng.choice(['', '7', '42'])}@{domain}", domain)

    return split(draw, 100, 100)


def slug(rng: random.Random) -> Split:
    """Return titles, which become a part of an address."""

    def draw() -> Example:
        words = [
            rng.choice([str.title, str.lower])(w) for w in rng.sample(_THINGS, rng.randint(2, 5))
        ]
        if rng.choice([True, False]):
            words.insert(rng.randrange(len(words)), rng.choice(["&", "-", "of", "the"]))
        title = " ".join(words) + rng.choice(["", "!", "?", "..."])
        kept = [word.lower() for word in words if word.isalpha()]
        return Example(title, "-".join(kept))

    return split(draw, 100, 100)


def plural(rng: random.Random) -> Split:
    """Return nouns, which become plurals by rule; all held-out words are invented."""

    def word() -> str:
        middle = rng.choice("aeiou") + rng.choice("bdglmnprt")
        end = rng.choice(["y", "x", "sh", "ch", "s", "t", "n", "r", "g", "oy", "ay", "le"])
        return rng.choice("bcdfghklmprstvw") + middle + rng.choice("aeiou") + end

    def rule(noun: str) -> str:
        if noun.endswith("y") and noun[-2] not in "aeiou":
            return noun[:-1] + "ies"
        return noun + ("es" if noun.endswith(("x", "sh", "ch", "s")) else "s")

    def draw() -> Iterator[Example]:
        while True:
            noun = word()
            yield Example(noun, rule(noun))

    train = take_distinct(draw(), 160)
    return train, take_distinct(draw(), 100, (train, []))


def without_vowels(rng: random.Random) -> Split:
    """Return words without their vowels: an algorithm on characters."""

    def draw() -> Example:
        text = " ".join(rng.sample(_THINGS, 2))
        return Example(text, "".join(c for c in text if c not in "aeiou"))

    return split(draw, 200, 100)


def backwards(rng: random.Random) -> Split:
    """Return reversed words: an algorithm on characters."""

    def draw() -> Example:
        text = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(3, 7)))
        return Example(text, text[::-1])

    return split(draw, 200, 100)


_LANGUAGES = {
    "German": "der die das und ist nicht ich wir haben mit auf eine sehr heute Haus Wasser schön",
    "French": "le la les et est pas je nous avons avec sur une très aujourd'hui maison eau belle",
    "Spanish": "el los las y es no yo tenemos con sobre una muy hoy casa agua bonita pero",
    "Italian": "il gli lo e non io abbiamo con su una molto oggi casa acqua bella anche sono",
    "Dutch": "de het en is niet ik wij hebben met op een zeer vandaag huis water mooi ook",
}


def language(rng: random.Random) -> Split:
    """Return the language of a few words; half of the held-out words are new."""

    def draw(part: Callable[[list[str]], list[str]]) -> Iterator[Example]:
        while True:
            name = rng.choice(list(_LANGUAGES))
            words = part(_words(_LANGUAGES[name]))
            yield Example(" ".join(rng.sample(words, 4)), name)

    train = take_distinct(draw(lambda words: words[:12]), 100)
    return train, take_distinct(draw(lambda words: words[6:]), 100, (train, []))


def swap_fields(rng: random.Random) -> Split:
    """Return `key=value` pairs in any order, which become a line of three columns."""

    def draw() -> Example:
        fields = {
            "color": rng.choice(_COLORS),
            "item": rng.choice(_THINGS),
            "price": f"{rng.randrange(1, 99)}.{rng.randrange(100):02}",
        }
        names = rng.sample(list(fields), 3)
        text = rng.choice(["; ", ", ", " "]).join(f"{name}={fields[name]}" for name in names)
        return Example(text, " | ".join(fields[name] for name in ("item", "color", "price")))

    return split(draw, 100, 100)


def template_reply(rng: random.Random) -> Split:
    """Return replies in a whole sentence with the name of the customer and of the product."""

    def draw() -> Example:
        who, thing = rng.choice(_PEOPLE).title(), rng.choice(_THINGS)
        wording, reply = rng.choice(
            [
                ("{who} asks where the {thing} is", "Dear {who}, your {thing} is on its way."),
                ("{who} wants a refund for the {thing}", "Dear {who}, we refund your {thing}."),
                ("the {thing} of {who} is broken", "Dear {who}, we replace your {thing}."),
                ("{who} loves the {thing}", "Dear {who}, enjoy your {thing}!"),
            ]
        )
        values = {"who": who, "thing": thing}
        return Example(wording.format(**values), reply.format(**values))

    return split(draw, 100, 100)


def long_summary(rng: random.Random) -> Split:
    """Return three facts among about 150 words: a long input."""

    def draw() -> Example:
        who, thing, count = rng.choice(_PEOPLE).title(), rng.choice(_THINGS), rng.randint(2, 99)
        filler = [
            f"The {rng.choice(_COLORS)} {rng.choice(_THINGS)} near the {rng.choice(_THINGS)} was "
            f"{rng.choice(['old', 'new', 'small', 'heavy', 'clean'])}."
            for _ in range(15)
        ]
        filler.insert(rng.randrange(16), f"In the end {who} bought {count} pieces of {thing}.")
        return Example(" ".join(filler), f"{who}: {count} {thing}")

    return split(draw, 100, 60)


def code_among(words: int) -> Task:
    """Return the task of finding a code such as `X42` among meaningless words."""

    def task(rng: random.Random) -> Split:
        letters = "abcdefghijklmnop"
        vocabulary = ["".join(rng.choices(letters, k=rng.randint(3, 8))) for _ in range(800)]

        def draw() -> Example:
            text = rng.choices(vocabulary, k=words)
            code = f"X{rng.randint(10, 99)}"
            text[rng.randrange(words)] = code
            return Example(" ".join(text), f"code {code}")

        return split(draw, 50, 20)

    return task


LONG: dict[str, Task] = {f"{words} words": code_among(words) for words in (20, 100, 400, 2000)}

UNSEEN: dict[str, Task] = {
    "phone to +1-...": phone,
    "e-mail to domain": mail_domain,
    "title to slug": slug,
    "plural of made-up words": plural,
    "language, half new words": language,
    "fields in another order": swap_fields,
    "reply from a template": template_reply,
    "fact in 150 words": long_summary,
    "remove vowels": without_vowels,
    "reverse a word": backwards,
}
