"""For each row of the table, the messages of `validate` on a date: 2026-11-28, and others."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import jsonschema
import pytest

from tests.support.project_dir import ProjectDir
from tunedmodels.errors import Problem, Severity
from tunedmodels.project import Project
from tunedmodels.project.base_models import base_model_report
from tunedmodels.render.base_models import base_models_schema
from tunedmodels.schema.base_models import read_bundled

TODAY = date(2026, 11, 28)
PROJECT = """
apiVersion: tunedmodels.dev/v1
kind: Project
metadata: {name: demo, lineage: 3f9c1e7a2b04}
spec:
  provider: there
  providers:
    there: {type: vertex, project: demo-1, location: LOCATION, bucket: demo-bucket}
"""
MODEL = """
apiVersion: tunedmodels.dev/v1
kind: TunedModel
metadata: {name: tone}
spec:
  dataset: {path: tone.jsonl}
  baseModel: BASE
"""
KEY = "projects/p/locations/us-central1/keyRings/r/cryptoKeys/k"
SUCCESSORS = "models/gemini-3.5-flash, models/gemini-3.5-flash-lite or models/gemini-3.1-flash-lite"
POSTPONED = "; if the date was postponed, set retirement in spec.baseModels of the Project"


def problems(
    folder: Path,
    base: str,
    *,
    location: str = "us-central1",
    fields: str = "",
    project: str = "",
    today: date = TODAY,
) -> list[Problem]:
    text = PROJECT.lstrip().replace("LOCATION", location)
    (folder / "tunedmodels.yaml").write_text(text + project)
    (folder / "tone.yaml").write_text(MODEL.lstrip().replace("BASE", base) + fields)
    (folder / "tone.jsonl").write_text('{"text_input": "a", "output": "b"}\n')
    return list(base_model_report(Project.open(folder), today).all_problems)


def lines(found: list[Problem], severity: Severity = Severity.ERROR) -> list[str]:
    return [f"{each.message} [{each.cure}]" for each in found if each.severity is severity]


@pytest.mark.parametrize("name", ["gemini-2.5-flash", "gemini-2.5-flash-lite", "gemini-2.5-pro"])
def test_gemini_2_5_has_retired(tmp_path: Path, name: str) -> None:
    expected = (
        f"models/{name} retired on 2026-10-16, together with the models tuned from it "
        f"[Set baseModel to {SUCCESSORS}{POSTPONED}]"
    )
    assert lines(problems(tmp_path, f"models/{name}")) == [expected]
    before = problems(tmp_path, f"models/{name}", today=date(2026, 10, 15))
    assert "retires on 2026-10-16 or later" in lines(before)[0]


def test_the_project_overrides_a_retirement(tmp_path: Path) -> None:
    row = "{name: gemini-2.5-flash, provider: vertex, retirement: {date: 2027-12-31}}"
    found = problems(tmp_path, "models/gemini-2.5-flash", project=f"  baseModels: [{row}]\n")
    assert lines(found) == []


@pytest.mark.parametrize(
    ("name", "retires", "warns_from"),
    [
        ("gemini-3.5-flash", "2027-05-19", date(2027, 2, 18)),
        ("gemini-3.5-flash-lite", "2027-07-21", date(2027, 4, 22)),
        ("gemini-3.1-flash-lite", "2027-05-07", date(2027, 2, 6)),
    ],
)
def test_gemini_3_is_tuned_in_two_regions_until_it_retires(
    tmp_path: Path, name: str, retires: str, warns_from: date
) -> None:
    base = f"models/{name}"
    for region in ("us-central1", "europe-west4"):
        assert lines(problems(tmp_path, base, location=region)) == []
        assert lines(problems(tmp_path, base, location=region), Severity.WARNING) == []
    (elsewhere,) = lines(problems(tmp_path, base, location="us-west1"))
    assert elsewhere == (
        f"{base} cannot be tuned in us-west1, the location of there "
        "[Use a provider in us-central1 or europe-west4, or correct spec.baseModels of the Project]"
    )
    (warning,) = lines(problems(tmp_path, base, today=warns_from), Severity.WARNING)
    assert warning.startswith(f"{base} retires on {retires} or later, together with")
    (error,) = lines(problems(tmp_path, base, today=date.fromisoformat(retires)))
    assert error.startswith(f"{base} retired on {retires}, together with the models tuned from it")


def test_the_successors_do_not_retire_soon_either(tmp_path: Path) -> None:
    (error,) = lines(problems(tmp_path, "models/gemini-2.5-pro", today=date(2027, 4, 1)))
    assert f"[Set baseModel to models/gemini-3.5-flash-lite{POSTPONED}]" in error
    (error,) = lines(problems(tmp_path, "models/gemini-2.5-pro", today=date(2027, 7, 1)))
    assert "[No base model is known that there can tune: use another provider" in error


@pytest.mark.parametrize("name", ["gemini-3.6-flash", "gemini-3.7-flash", "gemini-3.8-flash"])
def test_served_models_that_cannot_be_tuned_are_known(tmp_path: Path, name: str) -> None:
    expected = f"models/{name} cannot be tuned [Set baseModel to {SUCCESSORS}]"
    assert lines(problems(tmp_path, f"models/{name}")) == [expected]


@pytest.mark.parametrize("location", ["global", "us", "eu"])
@pytest.mark.parametrize("name", ["gemini-3.5-flash", "gemini-9-flash"])
def test_gemini_is_not_tuned_in_global_or_in_a_multi_region(
    tmp_path: Path, name: str, location: str
) -> None:
    (error,) = lines(problems(tmp_path, f"models/{name}", location=location))
    assert error.startswith(f"models/{name} cannot be tuned in {location}, the location of there ")
    assert "us-central1 or europe-west4" in error


@pytest.mark.parametrize(
    "name", ["gemini-3.5-flash", "gemini-3.5-flash-lite", "gemini-3.1-flash-lite"]
)
def test_gemini_3_supports_no_customer_managed_keys(tmp_path: Path, name: str) -> None:
    declared = f"  encryptionSpec: {{kmsKeyName: {KEY}}}\n"
    (problem,) = (
        each
        for each in problems(tmp_path, f"models/{name}", fields=declared)
        if each.severity is Severity.ERROR
    )
    assert (problem.line, problem.path) == (7, "spec.encryptionSpec")
    expected = f"models/{name} does not support customer-managed keys "
    assert lines([problem]) == [f"{expected}[Remove it, or correct spec.baseModels of the Project]"]


def test_the_key_of_a_provider_is_checked_as_well(tmp_path: Path) -> None:
    base = "models/gemini-3.5-flash"
    problems(tmp_path, base)
    file = tmp_path / "tunedmodels.yaml"
    file.write_text(
        file.read_text().replace("demo-bucket}", f"b-1, encryptionSpec: {{kmsKeyName: {KEY}}}}}")
    )
    (error,) = lines(list(base_model_report(Project.open(tmp_path), TODAY).all_problems))
    assert "and the provider there sets one [Remove encryptionSpec from the provider there" in error


OPEN = [row for row in read_bundled().base_models if row.is_open]


@pytest.mark.parametrize("row", OPEN, ids=[row.name for row in OPEN])
def test_an_open_model_has_its_modes_and_locations(tmp_path: Path, row: object) -> None:
    info = next(each for each in OPEN if each is row)
    modes = info.tuning_modes or ()
    for mode in ("peft", "full"):
        found = problems(tmp_path, info.name, location="global", fields=f"  tuningMode: {mode}\n")
        expected = [] if mode in modes else [f"{mode} is not available for {info.name} "]
        assert [line.partition("[")[0] for line in lines(found)] == expected
    advice = lines(problems(tmp_path, info.name, location="us-west1"), Severity.ADVICE)
    assert any("does not serve until it is deployed" in line for line in advice)
    errors = lines(problems(tmp_path, info.name, location="europe-west1", fields=""))
    assert any(line.startswith(f"{info.name} cannot be tuned in europe-west1") for line in errors)
    missing = lines(problems(tmp_path, info.name))
    assert bool(missing) == (len(modes) > 1)
    assert all(line.startswith("is missing; ") for line in missing)


def test_the_prices_of_open_models_are_those_of_google() -> None:
    prices = {row.name.partition("@")[2]: row.price for row in OPEN}
    assert {name: price and price.usd_per_million_tokens for name, price in prices.items()} == {
        "gemma-4-e2b-it": 1.40,
        "gemma-4-e4b-it": 1.73,
        "gemma-4-26b-a4b-it": 2.58,
        "gemma-4-31b-it": 9.06,
        "gemma-3-1b-it": 0.47,
        "gemma-3-4b-it": 1.14,
        "gemma-3-12b-it": 1.82,
        "gemma-3-27b-it": 6.83,
        "medgemma-1.5-4b-it": 1.14,
        "llama-3.1-8b": 0.67,
        "llama-3.1-8b-instruct": 0.67,
        "llama-3.2-1b-instruct": 0.28,
        "llama-3.2-3b-instruct": 0.61,
        "llama-3.3-70b-instruct": 6.72,
        "llama-4-scout-17b-16e-instruct": 5.77,
        "qwen3-4b": 1.35,
        "qwen3-8b": 4.18,
        "qwen3-14b": 8.46,
        "qwen3-32b": 6.57,
        "qwen3.5-9b": None,
    }


def test_no_retired_base_model_is_suggested(tmp_path: Path) -> None:
    for base in ("models/gemini-2.5-flsh", "models/what", "models/gemini-3.8-flash"):
        found = problems(tmp_path, base)
        assert all("gemini-2.5" not in each.cure for each in found)


def test_the_command_lists_what_can_be_tuned_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    project = ProjectDir(tmp_path, capsys, monkeypatch)
    listed = project.run("models", "--provider", "vertex", "--location", "us-west1")
    assert listed.code == 0
    assert "google/gemma3@gemma-3-27b-it  (vertex)" in listed.out
    assert "$6.83 per 1M training tokens (documented, Google's google/skills" in listed.out
    assert "gemini" not in listed.out.replace("gemini-2.5", "")
    document = json.loads(project.run("models", "--format", "json").out)
    jsonschema.validate(document, base_models_schema())
    names = {row["name"]: row for row in document["baseModels"]}
    assert "models/gemini-2.5-flash" not in names
    assert names["models/gemini-3.5-flash"]["retires"] == "2027-05-19"
    assert "models/gemini-2.5-flash" in project.run("models", "--all").out
    nowhere = project.run("models", "--provider", "vertex", "--location", "x")
    assert nowhere.out.startswith("No base model is known that can be tuned there.")


def test_the_command_includes_the_rows_of_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = "{name: mine, provider: vertex, tunable: true, source: our contract}"
    problems(tmp_path, "models/mine", project=f"  baseModels: [{row}]\n")
    monkeypatch.chdir(tmp_path)
    listed = ProjectDir(tmp_path, capsys, monkeypatch).run("models")
    assert "models/mine  (vertex)\n  tuned in    unknown locations\n" in listed.out
    assert "  source      documented, spec.baseModels of the Project\n" not in listed.out
    assert "our contract" in listed.out
