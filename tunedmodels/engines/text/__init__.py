r"""`models/embedded-text-001`: learns from a few examples to transform and to label text.

An answer is written unit by unit. A unit is a character, a word, a whole label, END, or any text
that can be copied from the input. At each position one convex model predicts the next unit:

    logit(unit) = sum over the features of the position: value x weights[feature, unit]
                + sum over the copy sources in the input that give this unit:
                      POINTER_SCALE x sum over the features of the source: pointers[feature]
                + ECHO_LOGIT, if it is the next token of the input
    p = softmax(logits)             over T units: the U units of the model and those of the input
    loss of an example = sum over its positions of -ln p[correct unit]
    step: parameters -= 100 x learning rate x mean over the batch of the gradient of the loss

Equal texts are the same unit, wherever they come from: with "3 May" as input, `05` can only be
learned, while `03` can also be copied (the number 3 with two digits), and both scores are added. So
every position has exactly one correct unit, and nothing is hidden: the model is convex, its loss
starts at the loss of the base, and few steps are enough. As an example, the answer in
"March 3, 2021" -> "2021-03-03" consists of the units `2021` `-` `03` `-` `03` END.

*Frozen base* (`tokens`, `features`): names of features, hashed to rows.
  position  words, pairs of adjacent words and 3/4-grams of the input, each combined with the
            history of the answer, and after the first unit also by itself; the history; the last
            two units; the last unit with the outline of what remains to be copied. The history
            replaces copied words by a mark: the same unit follows after `Smith, ` and `Jones, `.
            The three groups are weighted by rarity and normalised to a fixed length each, so that
            one rate suits inputs of 5 and of 100 words.
  source    each token unchanged, in upper case, lower case, capitalised, with two digits and
            without leading zeros; first letters; the next three characters at the cursor, which is
            after the last copied text. The features of a source (its distance from the cursor,
            itself, its neighbours, its index among similar ones) are combined with the history or
            with the last unit.
  echo      the token of the input at the cursor has a logit of `ECHO_LOGIT` nats: the untuned model
            repeats the last 400 tokens of its input.
*Adapter, learned* (`model`): the list of units (END, characters, words that recur in outputs and
are not copied, outputs that recur: labels), rarity (24,576), weights (122,880 rows x U, of which
only changed rows are stored), pointers (65,536): 0.5 to 10 MB. Zeros are the base.

docs/embedded-models.md describes the quality of the model, the value of each part and its limits,
with figures from `benchmarks/text_engine.py`.

Sources: log-linear models of a next symbol are maximum entropy models (Berger, Della Pietra, Della
Pietra 1996); adding the scores of all places that read one symbol is the pointer sum of Kadlec et
al. 2016 and the copying of Gu et al. 2016, made linear; hashed features: Weinberger et al. 2009.
"""

from __future__ import annotations

from collections.abc import Iterator

from tunedmodels.engines.engine import Adapter, Sampling, TrainingRun, TuningRequest


class TextEngine:
    """The engine of `models/embedded-text-001`."""

    base_model = "models/embedded-text-001"
    display_name = "Embedded Text 001"
    description = (
        "Transforms and classifies text. Learns in seconds on this machine from 15 to 500 "
        "examples and copies from the input; knows nothing about the world. Untuned, it repeats "
        "its input."
    )

    def tune(self, request: TuningRequest, *, resume: Adapter | None = None) -> TrainingRun:
        """Start or resume; ValueError for no examples or too many different units."""
        from tunedmodels.engines.text.model import TextTrainingRun  # noqa: PLC0415  # numpy: 0.1 s

        return TextTrainingRun(self.base_model, request, resume)

    def answer(self, adapter: Adapter, text: str, sampling: Sampling) -> Iterator[str]:
        """Return the answer to `text` token by token; the untuned base repeats `text`."""
        from tunedmodels.engines.text.model import TextModel, generate  # noqa: PLC0415  # numpy: 0.1 s

        return generate(TextModel.from_adapter(adapter, self.base_model), text, sampling)
