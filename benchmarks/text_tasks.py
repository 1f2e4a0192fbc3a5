"""The named tasks of the text engine: generators of training and held-out examples.

Each takes a random generator and returns (training examples, held-out examples), which have no
input in common. The engine was tuned while looking at these tasks; `unseen_tasks.py` contains the
others. The wordings of hard sentiment were made easier twice, because a linear model could not
learn the first ones.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator

from tunedmodels.datasets.examples import Example

Split = tuple[list[Example], list[Example]]
Task = Callable[[random.Random], Split]


def take_distinct(draws: Iterator[Example], count: int, avoid: Split = ([], [])) -> list[Example]:
    """Return `count` examples with different inputs, none of which is in `avoid`."""
    seen = {example.text_input for part in avoid for example in part}
    taken: list[Example] = []
    for example in draws:
        if example.text_input not in seen:
            seen.add(example.text_input)
            taken.append(example)
        if len(taken) == count:
            return taken
    raise ValueError("the generator ended after too few examples")


def split(draw: Callable[[], Example], train: int, held_out: int) -> Split:
    """Return two disjoint parts of the examples of one generator."""
    examples = take_distinct(iter(draw, None), train + held_out)
    return examples[:train], examples[train:]


def _words(text: str) -> list[str]:
    return text.split()


# The example of the tuning guide.

_NUMBERS = """1>2|3>4|-3>-2|twenty two>twenty three|two hundred>two hundred one
ninety nine>one hundred|8>9|-98>-97|1,000>1,001|10,100,000>10,100,001|thirteen>fourteen
eighty>eighty one|one>two|three>four|seven>eight"""


def next_number(_: random.Random) -> Split:
    """Return fifteen examples, which can be memorised but do not determine a sixteenth."""
    pairs = [pair.split(">") for pair in _NUMBERS.replace("\n", "|").split("|")]
    held_out = [Example("four", "five"), Example("55", "56"), Example("sixty", "sixty one")]
    return [Example(*pair) for pair in pairs], held_out


# Labels.

# Per class: wordings for training, then wordings for the held-out part.
# fmt: off
_INTENTS = {
    "track_order": (
        [
            "where is my {thing}", "when will my {thing} arrive",
            "has order {n} been shipped yet", "track the parcel with my {thing}",
            "my {thing} has not arrived", "delivery status of order {n}",
            "how long until the {thing} is delivered", "is my parcel on its way",
        ], [
            "I am still waiting for the delivery of my {thing}",
            "can you tell me when order {n} arrives", "any news on where my parcel is",
            "was the {thing} shipped",
        ],
    ),
    "refund": (
        [
            "I want my money back for the {thing}", "please refund order {n}",
            "how do I get a refund", "return the {thing} and refund me",
            "the {thing} is faulty and I want a refund", "when do I get my money back",
            "refund my payment of {n} dollars", "can I return this {thing}",
        ], [
            "give me a refund for this {thing}", "I would like to return order {n} for my money",
            "has the refund been paid", "money back please, the {thing} is broken",
        ],
    ),
    "cancel": (
        [
            "cancel my order {n}", "I no longer want the {thing}",
            "please cancel the {thing} I ordered", "stop my order before it ships",
            "can I cancel my subscription", "end my subscription today",
            "I changed my mind about the {thing}", "undo order {n}",
        ], [
            "could you cancel order {n} for me", "I want to cancel the {thing}",
            "please stop my subscription", "changed my mind, cancel it",
        ],
    ),
    "password": (
        [
            "I forgot my password", "reset my password please", "I cannot log in to my account",
            "my login does not work", "the site says wrong password",
            "how do I change my password", "locked out of my account",
            "the password link has expired",
        ], [
            "need a new password for my account", "login fails with wrong password",
            "please help me reset the login", "I am locked out and cannot log in",
        ],
    ),
    "address": (
        [
            "change my address to {n} {street} street", "I have moved to {street} street",
            "update the shipping address", "send the {thing} to another address",
            "my address is wrong", "deliver order {n} to my new home",
            "I am moving to a new house", "correct the street of my address",
        ], [
            "my new address is {n} {street} street",
            "please update where you send my {thing}, I moved",
            "the address on order {n} is wrong", "we are moving to {street} street",
        ],
    ),
    "invoice": (
        [
            "send me the invoice for order {n}", "I need a receipt for my {thing}",
            "where can I download my invoice", "the invoice shows the wrong amount",
            "I need a bill with tax number", "copy of the bill for the {thing}",
            "please email the receipt", "invoice {n} is missing",
        ], [
            "could I have a receipt for order {n}", "download the bill for my {thing}",
            "I never got an invoice", "email me invoice {n}",
        ],
    ),
    "stock": (
        [
            "do you have the {thing} in stock", "is the {thing} available",
            "when is the {thing} back in stock", "the {thing} is sold out",
            "do you sell a {color} {thing}", "is there a {color} one available",
            "how many of the {thing} are left", "will you get more of the {thing}",
        ], [
            "is a {color} {thing} in stock", "are there any {thing} left",
            "the {color} one is sold out, will you get more", "do you still sell the {thing}",
        ],
    ),
    "human": (
        [
            "let me talk to a person", "I want to speak to an agent", "connect me to a human",
            "can somebody call me", "is there a phone number",
            "I do not want to chat with a robot", "transfer me to customer service",
            "get me a real person",
        ], [
            "can I speak to a real human", "connect me with customer service",
            "I would like to talk to an agent on the phone", "please let a person call me",
        ],
    ),
}
# fmt: on
_THINGS = _words("lamp kettle phone jacket laptop chair watch camera bicycle headset desk tent")
_STREETS = _words("Oak Mill Station Park River Church Garden")
_COLORS = _words("red blue green black white")
_OPENINGS = ["", "", "", "hi, ", "hello, ", "good morning, ", "sorry, ", "quick question: "]
_ENDINGS = ["", "", "", ", thanks", "?", " please", "!", ", it is urgent"]


def intent(rng: random.Random) -> Split:
    """Return eight classes; the held-out part has other wordings of the same requests."""

    def draw(part: int) -> Iterator[Example]:
        while True:
            label = rng.choice(list(_INTENTS))
            words = rng.choice(_INTENTS[label][part]).format(
                thing=rng.choice(_THINGS),
                n=rng.randrange(1000, 9999),
                street=rng.choice(_STREETS),
                color=rng.choice(_COLORS),
            )
            yield Example(rng.choice(_OPENINGS) + words + rng.choice(_ENDINGS), label)

    train = take_distinct(draw(0), 200)
    return train, take_distinct(draw(1), 160, (train, []))


# The mood is expressed by a word, by a negated word, or by a phrase.
_OPINIONS = {
    "positive": [
        "{it} is {good}", "what a {good} buy", "we are very {pleased} with it",
        "I am {pleased} that I bought it", "it is not {bad} at all",
        "nothing to complain about", "I would buy it again", "worth every cent",
    ],
    "negative": [
        "{it} is {bad}", "what a {bad} buy", "we are very {upset} about it",
        "I am {upset} that I bought it", "it is not {good} at all",
        "a lot to complain about", "I would not buy it again", "not worth a cent",
    ],
}  # fmt: skip
_MOODS = {
    "it": ["it", "the quality", "this thing"],
    "good": ["great", "wonderful", "excellent"],
    "bad": ["terrible", "awful", "horrible"],
    "pleased": ["happy", "glad"],
    "upset": ["unhappy", "sad"],
}
_NOISE = [
    "I bought this {when} for my {who}", "the parcel came {when}",
    "my {who} wanted the {color} one",
    "it has the usual size and comes in {color}", "we use it in the {place}",
    "the box was {color} and had a sticker on it", "I ordered two, one for my {who}",
    "the shop is near the {place}", "it needs two batteries", "the manual has twenty pages",
    "my {who} put it in the {place} {when}", "I read some reviews {when} before buying",
    "it replaced the old one in the {place}", "you can also get it in {color}",
]  # fmt: skip
_WHEN = ["last week", "in March", "on Monday", "a year ago", "yesterday", "two months ago"]
_WHO = _words("sister brother mother neighbour son daughter friend boss")
_PLACE = _words("kitchen garage office garden bathroom station hall")


def hard_sentiment(rng: random.Random) -> Split:
    """Return two opinions, some negated, among five to nine unrelated sentences."""

    def fill(wording: str) -> str:
        return wording.format(
            when=rng.choice(_WHEN),
            who=rng.choice(_WHO),
            color=rng.choice(_COLORS),
            place=rng.choice(_PLACE),
            **{slot: rng.choice(words) for slot, words in _MOODS.items()},
        )

    def draw() -> Example:
        mood = rng.choice(list(_OPINIONS))
        wordings = rng.sample(_NOISE, rng.randint(5, 9)) + rng.sample(_OPINIONS[mood], 2)
        rng.shuffle(wordings)
        return Example(". ".join(fill(wording) for wording in wordings), mood)

    return split(draw, 100, 200)


# Dates.

_MONTHS = _words(
    """
    January February March April May June July August September October November December
    """
)


def dates(rng: random.Random) -> Split:
    """Return dates: `March 3, 2021` becomes `2021-03-03`."""

    def draw() -> Example:
        year, month, day = rng.randint(1950, 2049), rng.randint(1, 12), rng.randint(1, 28)
        return Example(f"{_MONTHS[month - 1]} {day}, {year}", f"{year}-{month:02}-{day:02}")

    return split(draw, 300, 200)


def four_date_styles(rng: random.Random) -> Split:
    """Return dates in four styles, which become one."""

    def draw() -> Example:
        year, month, day = rng.randint(1950, 2049), rng.randint(1, 12), rng.randint(1, 28)
        name = _MONTHS[month - 1]
        written = rng.choice(
            [
                f"{name} {day}, {year}",
                f"{day} {name[:3]} {year}",
                f"{month}/{day}/{year}",
                f"{day:02}.{month:02}.{year}",
            ]
        )
        return Example(written, f"{year}-{month:02}-{day:02}")

    return split(draw, 300, 200)


# Parts of the input, moved.

_FIRST = _words(
    """
    Alice Bob Carla David Emma Frank Grace Henry Irene Jack Karen Leo Maria Nora Oscar Paul
    Quinn Rosa Sam Tina
    """
)
_LAST = _words(
    """
    Smith Jones Brown Miller Davis Wilson Moore Taylor Clark Lewis Walker Hall Young King Wright
    Scott Green Baker Adams Nelson
    """
)
_NEW_FIRST = _words(
    """
    Aiko Bjorn Chidi Dmitri Elif Farid Giulia Hamza Ingrid Joao Keiko Lars Mei Nils Olga Priya
    Ravi Sofia Thabo Uma
    """
)
_NEW_LAST = _words(
    """
    Tanaka Larsen Okafor Volkov Yilmaz Haddad Rossi Malik Berg Silva Sato Lund Chen Holm Petrova
    Nair Kumar Costa Zulu Rao
    """
)


def names(rng: random.Random) -> Split:
    """Return names: `Alice Smith` becomes `Smith, A.`; half of the held-out names are new."""

    def draw(first: list[str], last: list[str]) -> Iterator[Example]:
        while True:
            one, two = rng.choice(first), rng.choice(last)
            yield Example(f"{one} {two}", f"{two}, {one[0]}.")

    train = take_distinct(draw(_FIRST, _LAST), 100)
    known = take_distinct(draw(_FIRST, _LAST), 60, (train, []))
    return train, known + take_distinct(draw(_NEW_FIRST, _NEW_LAST), 60)


_GOODS = _words(
    """
    pens books apples chairs lamps cups bottles shirts bags tables plates candles towels brushes
    boxes hats
    """
)
_CITIES = _words("Paris Oslo Rome Madrid Vienna Lisbon Dublin Prague Athens Berlin Warsaw Helsinki")
_ORDERS = [
    "{who} orders {n} {what} to {city}",
    "please send {n} {what} to {who} in {city}",
    "{n} {what} for {who}, {city}",
    "ship to {city}: {n} {what}, attention {who}",
]


def sentence_to_json(rng: random.Random) -> Split:
    """Return orders in four wordings, which become JSON objects of four fields."""

    def draw() -> Example:
        who, what = rng.choice(_FIRST + _NEW_FIRST), rng.choice(_GOODS)
        city, count = rng.choice(_CITIES), rng.randint(2, 99)
        text = rng.choice(_ORDERS).format(who=who, what=what, city=city, n=count)
        fields = {"name": who, "item": what, "quantity": count, "city": city}
        return Example(text, json.dumps(fields))

    return split(draw, 100, 120)


_NOUNS = _words(
    """
    river stone cloud paper window garden silver mountain yellow bridge candle forest pocket
    summer winter orange button carpet dragon engine feather guitar hammer island jungle kitten
    ladder market needle ocean pencil rabbit saddle tunnel valley wagon
    """
)


def upper_case(rng: random.Random) -> Split:
    """Return two to four words in capitals; half of the held-out words are new."""
    known, new = _NOUNS[:24], _NOUNS[12:]

    def draw(words: list[str]) -> Iterator[Example]:
        while True:
            text = " ".join(rng.sample(words, rng.randint(2, 4)))
            yield Example(text, text.upper())

    train = take_distinct(draw(known), 100)
    return train, take_distinct(draw(new), 100, (train, []))


_TROUBLES = {
    "late": ["has not arrived", "is late", "should have come last week", "is still not here"],
    "broken": ["arrived broken", "does not work", "came with a crack", "is damaged"],
    "wrong": ["is the wrong colour", "is not what I bought", "has the wrong size", "is wrong"],
    "praise": ["is wonderful", "works great", "made me happy", "is just what I wanted"],
}  # fmt: skip


def label_and_id(rng: random.Random) -> Split:
    """Return a label and a new part: `order A1234 is late` becomes `late A1234`."""

    def draw() -> Example:
        label = rng.choice(list(_TROUBLES))
        number = f"{rng.choice('ABCDEF')}{rng.randrange(10000):04}"
        start = rng.choice(["order {}", "my {thing}, order {},", "the {thing} from order {}"])
        order = start.format(number, thing=rng.choice(_THINGS))
        return Example(f"{order} {rng.choice(_TROUBLES[label])}", f"{label} {number}")

    return split(draw, 100, 100)


# fmt: off
NAMED: dict[str, tuple[Task, float, float]] = {
    # task                            goals, exact match: trained, held out
    "next-number":              (next_number,      1.00, 0.00),
    "intent, unseen wordings":  (intent,           1.00, 0.92),
    "hard sentiment":           (hard_sentiment,   1.00, 0.90),
    "dates":                    (dates,            1.00, 0.97),
    "four date styles":         (four_date_styles, 1.00, 0.90),
    "names":                    (names,            1.00, 0.95),
    "sentence to JSON":         (sentence_to_json, 1.00, 0.85),
    "upper case":               (upper_case,       1.00, 1.00),
    "label and copied id":      (label_and_id,     1.00, 0.98),
}
# fmt: on
