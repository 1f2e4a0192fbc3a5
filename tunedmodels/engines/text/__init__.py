r"""`models/embedded-text-001`: learns from a handful of examples to transform and to label text.

An answer is written unit by unit. A unit is a character, a word, a whole label, END, or anything
that can be copied from the input. At each moment one convex model says which unit comes next:

    logit(unit) = sum over the features of the moment: value x weights[feature, unit]
                + sum over the places of the input that would read this unit:
                      SCALE x sum over the features of the place: pointers[feature]
                + ECHO, if it is the next piece of the input
    p = softmax(logits)             over the T units: the U of the model's list, those of the input
    loss of an example = sum over its moments of -ln p[right unit]
    step: parameters -= 100 x learning rate x mean over the batch of the gradient of the loss

The same text is the same unit, wherever it comes from: with "3 May" as input, `05` can only be
learned and `03` can also be read (as the number 3 with two digits), and both scores add up. So
there is one right unit at every moment and nothing hidden: the model is convex, its loss starts at
the base's own, and few steps are enough. As an example, "March 3, 2021" -> "2021-03-03" is spelled
`2021` `-` `03` `-` `03` END.

*Frozen base* (`source`, `features`): names of features, hashed to rows.
  moment   words, pairs of neighbours and 3/4-grams of the input, each together with the history of
           the answer, and once the answer has begun also by itself; the history; the last two
           units; the last one and the form of what is still to be copied. The history replaces what
           was copied by a mark: after `Smith, ` and after `Jones, ` the same comes next. The three
           groups are weighted by rarity and then normalised to a fixed length each, so that one
           rate fits inputs of 5 and of 100 words.
  place    each token as it is, in capitals, small, capitalised, with two digits, without leading
           zeros; first letters; the next three characters at the cursor, which stands behind what
           was copied last. What is known of a place (how far from the cursor, itself, its
           neighbours, which one of its kind) goes together with the history or the last unit.
  echo     the piece of the input at the cursor has a logit of `ECHO` nats: untuned, the model
           repeats its input (the last 400 tokens of it)
*Adapter, learned* (`model`): the list of units (END, characters, words that recur in outputs and
are not copied, outputs that recur: labels), rarity (24,576), weights (122,880 rows x U, of which
those that were touched are kept), pointers (65,536): 0.5 to 10 MB. Zeros are the base.

How good it is, what each part is worth, and what it cannot do stands in docs/embedded-models.md,
with figures from `benchmarks/text_engine.py`.

Sources: log-linear models of a next symbol are maximum entropy models (Berger, Della Pietra, Della
Pietra 1996); adding the scores of all places that read one symbol is the pointer sum of Kadlec et
al. 2016 and the copying of Gu et al. 2016, made linear; hashed features: Weinberger et al. 2009.
"""

from __future__ import annotations

from collections.abc import Iterator

from tunedmodels.engines.engine import Adapter, Sampling, Tuning, TuningRequest


class TextEngine:
    """The engine of `models/embedded-text-001`."""

    base_model = "models/embedded-text-001"
    display_name = "Embedded Text 001"
    description = (
        "Transforms and classifies text. Learns in seconds on this machine from 15 to 500 "
        "examples and copies from the input; knows nothing about the world. Untuned, it repeats "
        "its input."
    )

    def tune(self, request: TuningRequest, *, resume: Adapter | None = None) -> Tuning:
        """Begin or go on; ValueError for no examples or too many different units."""
        from tunedmodels.engines.text.model import TextTuning  # noqa: PLC0415  # numpy takes 0.1 s

        return TextTuning(self.base_model, request, resume)

    def answer(self, adapter: Adapter, text: str, sampling: Sampling) -> Iterator[str]:
        """Return the answer to `text`, token by token; the untuned base repeats it."""
        from tunedmodels.engines.text.model import TextModel, write  # noqa: PLC0415  # numpy takes 0.1 s

        return write(TextModel.of(adapter, self.base_model), text, sampling)
