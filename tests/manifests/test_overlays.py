"""Defaults, overlays and --set: what wins, and where a mistake in them is reported."""

# ruff: noqa: E501  # a message that is cut in two cannot be searched for

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedmodels.manifests.load import Loaded, load
from tunedmodels.manifests.overlays import merge
from tunedmodels.manifests.yaml_scalars import Value

PROJECT = """\
apiVersion: tunedmodels.dev/v1
kind: Project
metadata: {name: demo}
spec:
  defaults:
    topK: 1
    temperature: 0.1
    readerProjectNumbers: [1, 2]
    hyperparameters: {epochCount: 1, batchSize: 1}
"""
TONE = """\
apiVersion: tunedmodels.dev/v1
kind: TunedModel
metadata: {name: tone}
spec:
  baseModel: models/x
  dataset: {path: d.jsonl}
"""
OVERLAY = "kind: TunedModel\nmetadata: {name: tone}\nspec:\n"


def loaded(
    folder: Path, files: Mapping[str, str], *, environment: str = "", sets: Sequence[str] = ()
) -> Loaded:
    for name, text in ({"project.yaml": PROJECT, "tone.yaml": TONE} | dict(files)).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return load(folder, environment=environment, sets=sets)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def said(found: Loaded) -> list[tuple[str, str, str]]:
    return [(p.place, p.message, p.cure) for p in found.problems]


def test_each_layer_wins_over_those_below(tmp_path: Path) -> None:
    tone = TONE + "  temperature: 0.2\n  hyperparameters: {batchSize: 2}\n"
    overlay = OVERLAY + "  temperature: 0.3\n  topK: 3\n"
    found = loaded(
        tmp_path,
        {"tone.yaml": tone, "overlays/ci.yaml": overlay},
        environment="ci",
        sets=["tone.topK=4", "tone.hyperparameters.learningRate=1e-3"],
    )
    (spec,) = (m.spec for m in found.models)
    assert spec.hyperparameters.model_dump(exclude_none=True) == {
        "epoch_count": 1,  # of the Project
        "batch_size": 2,  # of the manifest
        "learning_rate": 0.001,  # of --set
    }
    assert (spec.temperature, spec.top_k, spec.reader_project_numbers) == (0.3, 4, (1, 2))


def test_lists_are_replaced_and_null_takes_away(tmp_path: Path) -> None:
    tone = TONE + "  readerProjectNumbers: [3]\n  topK: null\n"
    found = loaded(tmp_path, {"tone.yaml": tone}, sets=["tone.temperature="])
    (spec,) = (m.spec for m in found.models)
    assert (spec.reader_project_numbers, spec.top_k, spec.temperature) == ((3,), None, None)


def test_an_overlay_is_read_for_its_environment_only(tmp_path: Path) -> None:
    overlays = {"overlays/ci.yaml": OVERLAY + "  topK: 9\n", "overlays/broken.yaml": "a: ["}
    assert loaded(tmp_path, overlays).models[0].spec.top_k == 1
    assert loaded(tmp_path, overlays, environment="ci").models[0].spec.top_k == 9


def test_an_overlay_may_patch_the_project_and_its_defaults(tmp_path: Path) -> None:
    text = (
        "kind: Project\nmetadata: {name: demo}\nspec:\n"
        "  policy: {maxDeletePercent: 5}\n  defaults: {topK: 8, temperature: null}\n"
    )
    found = loaded(tmp_path, {"overlays/ci.yml": text}, environment="ci")
    assert found.project.spec.policy.max_delete_percent == 5
    assert (found.models[0].spec.top_k, found.models[0].spec.temperature) == (8, None)


def test_an_option_may_set_the_project(tmp_path: Path) -> None:
    found = loaded(tmp_path, {}, sets=["Project.policy.maxCostUsd=7", "Project.defaults.topK=6"])
    assert found.project.spec.policy.max_cost_usd == 7
    assert found.models[0].spec.top_k == 6


# fmt: off
OPTIONS = [  # --set                              place after "--set ...", message, cure
    ("tone",                 "", "is not NAME.PATH=VALUE", "Write for example --set next-number.hyperparameters.epochCount=3"),
    ("tone=5",               "", "is not NAME.PATH=VALUE", "Write for example --set next-number.hyperparameters.epochCount=3"),
    ("tone..a=5",            "", "is not NAME.PATH=VALUE", "Write for example --set next-number.hyperparameters.epochCount=3"),
    ("tone.topK=[",          "", "has a value that is no YAML", "Put text in quotes, for example --set 'tone.description=\"a: b\"'"),
    ("tune.topK=5",          "", "no TunedModel is called 'tune'", "Did you mean tone?"),
    ("tone.topk=5",          ": spec.topk", "is no field here", "Did you mean topK?"),
    ("tone.topK=five",       ": spec.topK", "must be a whole number (got 'five')", ""),
    ("tone.dataset.path=",   ": spec.dataset.path", "is missing", "Add it"),
    ("tone.dataset=d.jsonl", ": spec.dataset", "must be a mapping (got 'd.jsonl')", "Write KEY: VALUE lines below it"),
    ("Project.provider=x",   ": spec.provider", "no provider is called 'x'", "There are: embedded, gemini; more go to spec.providers."),
]
OVERLAYS = [  # overlays/ci.yaml          place, message, cure
    (OVERLAY + "  topK: x\n",
     "overlays/ci.yaml:4: spec.topK", "must be a whole number (got 'x')", ""),
    (OVERLAY + "  evaluation: {format: csv}\n",
     "overlays/ci.yaml:4: spec.evaluation.path", "is missing", "Add it"),
    (OVERLAY + "  dataset: {path: ../d}\n",
     "overlays/ci.yaml:4: spec.dataset.path", "leads out of the project (got '../d')", "Write a path inside the folder of the Project file, relative to it"),
    (OVERLAY.replace("tone", "tune"),
     "overlays/ci.yaml:2: metadata.name", "no TunedModel is called 'tune'", "Did you mean tone?"),
    ("kind: TunedModel\nspec: {}\n",
     "overlays/ci.yaml:1: metadata.name", "is missing", "Say which manifest this is laid over"),
    ("kind: Tuned\nmetadata: {name: tone}\n",
     "overlays/ci.yaml:1: kind", "must be Project or TunedModel (got 'Tuned')", "Did you mean TunedModel?"),
    ("- a\n",
     "overlays/ci.yaml:1", "is no part of a manifest (got a list)", "Write kind, metadata.name, and what differs"),
    ("a: [",
     "overlays/ci.yaml:1", "has an empty place in brackets, or a bracket that is not closed", "Close it with ] or }"),
]
# fmt: on


@pytest.mark.parametrize(
    ("option", "path", "message", "cure"), OPTIONS, ids=[o[0] for o in OPTIONS]
)
def test_a_wrong_option_is_named_itself(
    tmp_path: Path, option: str, path: str, message: str, cure: str
) -> None:
    found = loaded(tmp_path, {}, sets=[option])
    assert said(found) == [(f"--set {option}{path}", message, cure)]


@pytest.mark.parametrize(
    ("text", "place", "message", "cure"), OVERLAYS, ids=[f"{o[1]} {o[2]}" for o in OVERLAYS]
)
def test_a_mistake_in_an_overlay_is_found_there(
    tmp_path: Path, text: str, place: str, message: str, cure: str
) -> None:
    found = loaded(tmp_path, {"overlays/ci.yaml": text}, environment="ci")
    assert said(found) == [(place, message, cure)]


def test_an_unknown_environment_names_those_that_exist(tmp_path: Path) -> None:
    place, message = "--env prd", "there is no overlay 'prd'"
    none = loaded(tmp_path, {}, environment="prd")
    assert said(none) == [(place, message, "Write overlays/prd.yaml.")]
    there = {"overlays/prod.yaml": OVERLAY, "overlays/ci.yaml": OVERLAY}
    cure = "Did you mean prod? There are: ci, prod."
    assert said(loaded(tmp_path, there, environment="prd")) == [(place, message, cure)]
    assert loaded(tmp_path, there, environment="../tone").problems


def test_a_mistake_in_the_defaults_is_told_once_and_there(tmp_path: Path) -> None:
    project = PROJECT.replace("epochCount", "epochs")
    files = {"project.yaml": project, "other.yaml": TONE.replace("tone", "other")}
    place = "project.yaml:9: spec.defaults.hyperparameters.epochs"
    ((found, message, cure),) = said(loaded(tmp_path, files))
    assert (found, message) == (place, "is no field here")
    assert cure == "Did you mean epochCount?"


def test_learning_rates_of_two_layers_exclude_each_other_until_one_is_null(tmp_path: Path) -> None:
    project = PROJECT.replace("batchSize: 1", "learningRate: 0.1")
    tone = TONE + "  hyperparameters:\n    learningRateMultiplier: 2\n"
    found = loaded(tmp_path, {"project.yaml": project, "tone.yaml": tone})
    assert said(found) == [
        (
            "tone.yaml:8: spec.hyperparameters.learningRateMultiplier",
            "excludes learningRate, which is in project.yaml:9",
            "Keep one of the two; null as the value takes away what a layer below says",
        )
    ]
    dropped = tone + "    learningRate: null\n"
    assert loaded(tmp_path, {"project.yaml": project, "tone.yaml": dropped}).problems == ()


def test_a_field_is_placed_in_the_layer_that_won(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        {"overlays/ci.yaml": OVERLAY + "  dataset: {path: e.jsonl}\n"},
        environment="ci",
        sets=["tone.evaluation.path=f.jsonl"],
    )
    (declared,) = found.models
    place = declared.place_of("spec.dataset.path")
    assert (place.file, place.line) == ("overlays/ci.yaml", 4)
    place = declared.place_of("spec.evaluation.path")
    assert (place.file, place.line) == ("--set tone.evaluation.path=f.jsonl", 0)
    place = declared.place_of("spec.topK")
    assert (place.file, place.line, place.path) == ("project.yaml", 6, ("spec", "defaults", "topK"))
    assert declared.line_of("spec.dataset.path") == 6


VALUES: st.SearchStrategy[Value] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=8,
)
MAPPINGS = st.dictionaries(st.sampled_from("abc"), VALUES)


def has_null(value: Value) -> bool:
    return isinstance(value, dict) and any(v is None or has_null(v) for v in value.values())


@given(MAPPINGS)
def test_an_empty_layer_changes_nothing(value: dict[str, Value]) -> None:
    clean = merge({}, value)
    assert merge(clean, {}) == clean
    assert not has_null(clean)


@given(MAPPINGS, MAPPINGS)
def test_a_layer_laid_twice_is_laid_once(below: dict[str, Value], above: dict[str, Value]) -> None:
    once = merge(below, above)
    assert merge(once, above) == once


@given(MAPPINGS, MAPPINGS)
def test_what_the_layer_above_says_holds(below: dict[str, Value], above: dict[str, Value]) -> None:
    merged = merge(below, above)
    for key, value in above.items():
        if value is None:
            assert key not in merged
        elif not isinstance(value, dict):
            assert merged[key] == value
    for key in below.keys() - above.keys():
        assert merged.get(key) == below[key]


@given(MAPPINGS, MAPPINGS)
def test_merging_changes_neither_layer(below: dict[str, Value], above: dict[str, Value]) -> None:
    before = repr((below, above))
    merge(below, above)
    assert repr((below, above)) == before
