"""The estimate of tokens: close to the count of a real vocabulary, and independent of blocks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedmodels.datasets.examples import canonical_form
from tunedmodels.datasets.limits import Limits, vertex_limits
from tunedmodels.datasets.scan import scan
from tunedmodels.datasets.tokens import TokenCounter, estimate_tokens, estimate_utf8
from tunedmodels.errors import Severity
from tunedmodels.schema.tuned_model import ExampleFile

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
def test_the_estimate_is_close_to_the_count_of_a_real_vocabulary(text: str, tokens: int) -> None:
    # A single sentence; the 15 % in the documentation refer to texts of 4,000 characters.
    assert estimate_tokens(text) == pytest.approx(tokens, rel=0.45)


def test_the_error_over_all_sentences_is_smaller() -> None:
    assert sum(map(estimate_tokens, COUNTED)) == pytest.approx(sum(COUNTED.values()), rel=0.15)


@given(st.text(), st.text())
def test_joined_texts_have_the_tokens_of_both(first: str, second: str) -> None:
    assert estimate_utf8((first + second).encode()) == pytest.approx(
        estimate_utf8(first.encode()) + estimate_utf8(second.encode())
    )


@given(st.text())
def test_no_text_has_more_than_two_tokens_for_a_character(text: str) -> None:
    # RowChecker.check relies on it, to skip most rows.
    assert estimate_tokens(text) <= 2 * len(text)


def test_half_of_a_surrogate_pair_counts_as_nothing() -> None:
    assert estimate_tokens("a\ud800b") == estimate_tokens("ab")


@pytest.mark.parametrize("copies", [1, 40, 4000])
def test_the_estimate_of_a_large_file_from_a_sample_is_nearly_the_same(copies: int) -> None:
    pairs = [(text, f"{number} times") for number, text in enumerate(COUNTED)]
    counter = TokenCounter()
    for _ in range(copies):
        counter.add(canonical_form(pairs), len(pairs))
    whole = sum(estimate_tokens(text) + estimate_tokens(output) for text, output in pairs)
    assert counter.tokens == pytest.approx(copies * whole, rel=0.02)


def test_empty_texts_have_no_tokens() -> None:
    assert (TokenCounter().tokens, estimate_tokens("")) == (0, 0)


def scan_messages(
    folder: Path, rows: list[tuple[str, str]], limits: Limits, preamble: str = ""
) -> list[str]:
    file = folder / "data.jsonl"
    file.write_text("".join(json.dumps({"text_input": i, "output": o}) + "\n" for i, o in rows))
    source = ExampleFile(path="data.jsonl")
    result = scan(file, source, display_path="data.jsonl", limits=limits, preamble=preamble)
    return [
        f"{p.file}:{p.line}: {p.severity}: {p.message}"
        for p in result.problems
        if p.severity is not Severity.ADVICE
    ]


def vertex(**limits: int) -> Limits:
    unlimited = {"max_bytes": None, "max_examples": None, "max_tokens": None}
    return vertex_limits(**unlimited | limits)


ROWS = [(f"{SENTENCE} {n}", "yes" if n % 2 else "no") for n in range(20)]


def test_a_row_with_certainly_too_many_tokens_is_an_error(tmp_path: Path) -> None:
    rows = [*ROWS, (SENTENCE * 100, "yes")]
    (problem,) = scan_messages(tmp_path, rows, vertex(max_tokens=500))
    assert problem.startswith("data.jsonl:21: error: has about ")
    assert "at most 500 are allowed" in problem


def test_a_row_with_possibly_too_many_tokens_is_a_warning(tmp_path: Path) -> None:
    text = SENTENCE * 20
    limit = round(estimate_tokens(text) * 0.95)
    (problem,) = scan_messages(tmp_path, [*ROWS, (text, "yes")], vertex(max_tokens=limit))
    assert problem.startswith("data.jsonl:21: warning: has about ")


def test_the_preamble_counts_with_every_row(tmp_path: Path) -> None:
    assert scan_messages(tmp_path, ROWS, vertex(max_tokens=100)) == []
    assert len(scan_messages(tmp_path, ROWS, vertex(max_tokens=100), preamble=SENTENCE * 20)) == 20


def test_a_file_with_more_examples_than_the_base_model_allows_is_an_error(tmp_path: Path) -> None:
    (problem,) = scan_messages(tmp_path, ROWS, vertex(max_examples=19))
    assert problem == "data.jsonl:0: error: has 20 examples; at most 19 are allowed"
    assert scan_messages(tmp_path, ROWS, vertex(max_examples=20)) == []
