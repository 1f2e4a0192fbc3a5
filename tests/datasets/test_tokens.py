"""The estimate of tokens: near what a real vocabulary says, and the same however a file is cut."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedmodels.datasets.examples import canonical
from tunedmodels.datasets.limits import Limits, vertex_limits
from tunedmodels.datasets.scan import survey
from tunedmodels.datasets.tokens import Tally, estimate, weigh
from tunedmodels.errors import Severity
from tunedmodels.schema.tuned_model import Examples

# Counted with Gemma's vocabulary of 256,000 tokens, as in benchmarks/tokens.py.
COUNTED = {
    "My card was charged twice for order 1177, and nobody has answered my two letters so far.": 23,
    "Die App stürzt ab, sobald ich die Einstellungen auf meinem neuen Telefon öffne.": 17,
    "Je voudrais changer l'adresse de livraison de ma commande avant vendredi.": 14,
    "¿Dónde puedo descargar la factura del mes pasado? No la encuentro en mi cuenta.": 17,
    "Приложение закрывается, когда я открываю настройки на своём телефоне.": 15,
    "設定を開くとアプリがすぐに終了してしまいます。どうすればよいですか。": 15,
    "请问我上个月的发票在哪里下载我在账户里找不到。": 13,
    "주문한 상품의 배송 주소를 금요일 전에 바꾸고 싶습니다.": 21,
    "मैं अपने ऑर्डर का पता शुक्रवार से पहले बदलना चाहता हूँ।": 19,
    "أين يمكنني تنزيل فاتورة الشهر الماضي؟ لا أجدها في حسابي.": 20,
    "def area(width: float, height: float) -> float:\n    return width * height\n": 21,
    '{"id": 1177, "date": "2026-11-22", "total": 129.95, "paid": true}': 40,
}
SENTENCE = next(iter(COUNTED))
Row = tuple[str, str]


@pytest.mark.parametrize(("text", "tokens"), COUNTED.items(), ids=range(len(COUNTED)))
def test_the_estimate_is_near_what_a_real_vocabulary_counts(text: str, tokens: int) -> None:
    # One sentence; the 15 % that the docs name are of texts of 4,000 characters.
    assert estimate(text) == pytest.approx(tokens, rel=0.45)


def test_over_all_of_them_the_error_is_smaller() -> None:
    assert sum(map(estimate, COUNTED)) == pytest.approx(sum(COUNTED.values()), rel=0.15)


@given(st.text(), st.text())
def test_two_texts_have_the_tokens_of_both(one: str, two: str) -> None:
    assert weigh((one + two).encode()) == pytest.approx(weigh(one.encode()) + weigh(two.encode()))


@given(st.text())
def test_no_text_has_more_than_two_tokens_for_a_character(text: str) -> None:
    # Checks.admit rests on it, so that it need not look at every row.
    assert estimate(text) <= 2 * len(text)


def test_half_a_surrogate_pair_stops_nothing() -> None:
    assert estimate("a\ud800b") == estimate("ab")


@pytest.mark.parametrize("copies", [1, 40, 4000])
def test_a_large_file_is_weighed_in_parts_and_says_nearly_the_same(copies: int) -> None:
    pairs = [(text, f"{number} times") for number, text in enumerate(COUNTED)]
    tally = Tally()
    for _ in range(copies):
        tally.add(canonical(pairs), len(pairs))
    whole = sum(estimate(text) + estimate(output) for text, output in pairs)
    assert tally.tokens == pytest.approx(copies * whole, rel=0.02)


def test_nothing_has_no_tokens() -> None:
    assert (Tally().tokens, estimate("")) == (0, 0)


def asked(
    folder: Path, rows: list[tuple[str, str]], limits: Limits, preamble: str = ""
) -> list[str]:
    file = folder / "data.jsonl"
    file.write_text("".join(json.dumps({"text_input": i, "output": o}) + "\n" for i, o in rows))
    source = Examples(path="data.jsonl")
    found = survey(file, source, written="data.jsonl", limits=limits, preamble=preamble)
    return [
        f"{p.file}:{p.line}: {p.severity}: {p.message}"
        for p in found.problems
        if p.severity is not Severity.ADVICE
    ]


def limited(**others: int) -> Limits:
    known = {"max_bytes": None, "max_examples": None, "max_tokens": None, **others}
    return vertex_limits(**known)


ROWS = [(f"{SENTENCE} {n}", "yes" if n % 2 else "no") for n in range(20)]


def test_a_row_with_too_many_tokens_is_an_error_where_that_is_sure(tmp_path: Path) -> None:
    rows = [*ROWS, (SENTENCE * 100, "yes")]
    (problem,) = asked(tmp_path, rows, limited(max_tokens=500))
    assert problem.startswith("data.jsonl:21: error: has about ")
    assert "at most 500 are allowed" in problem


def test_a_row_with_perhaps_too_many_tokens_is_a_warning(tmp_path: Path) -> None:
    text = SENTENCE * 20
    most = round(estimate(text) * 0.95)
    (problem,) = asked(tmp_path, [*ROWS, (text, "yes")], limited(max_tokens=most))
    assert problem.startswith("data.jsonl:21: warning: has about ")


def test_the_preamble_counts_with_every_row(tmp_path: Path) -> None:
    assert asked(tmp_path, ROWS, limited(max_tokens=100)) == []
    assert len(asked(tmp_path, ROWS, limited(max_tokens=100), preamble=SENTENCE * 20)) == 20


def test_a_file_with_more_examples_than_the_base_model_takes_is_an_error(tmp_path: Path) -> None:
    (problem,) = asked(tmp_path, ROWS, limited(max_examples=19))
    assert problem == "data.jsonl:0: error: has 20 examples; at most 19 are allowed"
    assert asked(tmp_path, ROWS, limited(max_examples=20)) == []
