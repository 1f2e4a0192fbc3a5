"""Defaults, overlays and --set: their precedence, and the locations of their problems."""

# ruff: noqa: E501  # a split message cannot be searched for

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedmodels.manifests.load import LoadResult, load
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


def load_files(
    folder: Path, files: Mapping[str, str], *, environment: str = "", sets: Sequence[str] = ()
) -> LoadResult:
    for name, text in ({"project.yaml": PROJECT, "tone.yaml": TONE} | dict(files)).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return load(folder, environment=environment, sets=sets)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def messages(result: LoadResult) -> list[tuple[str, str, str]]:
    return [(p.location, p.message, p.cure) for p in result.problems]


def test_each_layer_overrides_the_layers_below(tmp_path: Path) -> None:
    tone = TONE + "  temperature: 0.2\n  hyperparameters: {batchSize: 2}\n"
    overlay = OVERLAY + "  temperature: 0.3\n  topK: 3\n"
    result = load_files(
        tmp_path,
        {"tone.yaml": tone, "overlays/ci.yaml": overlay},
        environment="ci",
        sets=["tone.topK=4", "tone.hyperparameters.learningRate=1e-3"],
    )
    (spec,) = (m.spec for m in result.models)
    assert spec.hyperparameters.model_dump(exclude_none=True) == {
        "epoch_count": 1,  # of the Project
        "batch_size": 2,  # of the manifest
        "learning_rate": 0.001,  # of --set
    }
    assert (spec.temperature, spec.top_k, spec.reader_project_numbers) == (0.3, 4, (1, 2))


def test_lists_are_replaced_and_null_removes_a_value(tmp_path: Path) -> None:
    tone = TONE + "  readerProjectNumbers: [3]\n  topK: null\n"
    result = load_files(tmp_path, {"tone.yaml": tone}, sets=["tone.temperature="])
    (spec,) = (m.spec for m in result.models)
    assert (spec.reader_project_numbers, spec.top_k, spec.temperature) == ((3,), None, None)


def test_an_overlay_is_read_only_for_its_environment(tmp_path: Path) -> None:
    overlays = {"overlays/ci.yaml": OVERLAY + "  topK: 9\n", "overlays/broken.yaml": "a: ["}
    assert load_files(tmp_path, overlays).models[0].spec.top_k == 1
    assert load_files(tmp_path, overlays, environment="ci").models[0].spec.top_k == 9


def test_an_overlay_can_change_the_project_and_its_defaults(tmp_path: Path) -> None:
    text = (
        "kind: Project\nmetadata: {name: demo}\nspec:\n"
        "  policy: {maxDeletePercent: 5}\n  defaults: {topK: 8, temperature: null}\n"
    )
    result = load_files(tmp_path, {"overlays/ci.yml": text}, environment="ci")
    assert result.project.spec.policy.max_delete_percent == 5
    assert (result.models[0].spec.top_k, result.models[0].spec.temperature) == (8, None)


def test_an_option_can_change_the_project(tmp_path: Path) -> None:
    result = load_files(
        tmp_path, {}, sets=["Project.policy.maxCostUsd=7", "Project.defaults.topK=6"]
    )
    assert result.project.spec.policy.max_cost_usd == 7
    assert result.models[0].spec.top_k == 6


# fmt: off
OPTIONS = [  # --set     location after "--set ...", message, cure
    ("tone",                 "", "must be NAME.PATH=VALUE", "Use for example --set next-number.hyperparameters.epochCount=3"),
    ("tone=5",               "", "must be NAME.PATH=VALUE", "Use for example --set next-number.hyperparameters.epochCount=3"),
    ("tone..a=5",            "", "must be NAME.PATH=VALUE", "Use for example --set next-number.hyperparameters.epochCount=3"),
    ("tone.topK=[",          "", "has a value that is not valid YAML", "Put text in quotes, for example --set 'tone.description=\"a: b\"'"),
    ("tune.topK=5",          "", "no TunedModel is called 'tune'", "Did you mean tone?"),
    ("tone.topk=5",          ": spec.topk", "unknown field", "Did you mean topK?"),
    ("tone.topK=five",       ": spec.topK", "must be a whole number (got 'five')", ""),
    ("tone.dataset.path=",   ": spec.dataset.path", "is missing", "Add it"),
    ("tone.dataset=d.jsonl", ": spec.dataset", "must be a mapping (got 'd.jsonl')", "Write KEY: VALUE lines below it"),
    ("Project.provider=x",   ": spec.provider", "no provider is called 'x'", "There are: embedded, gemini; declare more in spec.providers."),
]
OVERLAYS = [  # overlays/ci.yaml          location, message, cure
    (OVERLAY + "  topK: x\n",
     "overlays/ci.yaml:4: spec.topK", "must be a whole number (got 'x')", ""),
    (OVERLAY + "  evaluation: {format: csv}\n",
     "overlays/ci.yaml:4: spec.evaluation.path", "is missing", "Add it"),
    (OVERLAY + "  dataset: {path: ../d}\n",
     "overlays/ci.yaml:4: spec.dataset.path", "is outside the project (got '../d')", "Use a path inside the directory of the Project file, relative to it"),
    (OVERLAY.replace("tone", "tune"),
     "overlays/ci.yaml:2: metadata.name", "no TunedModel is called 'tune'", "Did you mean tone?"),
    ("kind: TunedModel\nspec: {}\n",
     "overlays/ci.yaml:1: metadata.name", "is missing", "Name the manifest that this overlay changes"),
    ("kind: Tuned\nmetadata: {name: tone}\n",
     "overlays/ci.yaml:1: kind", "must be Project or TunedModel (got 'Tuned')", "Did you mean TunedModel?"),
    ("- a\n",
     "overlays/ci.yaml:1", "must be a part of a manifest (got a list)", "Write kind, metadata.name and the fields to change"),
    ("a: [",
     "overlays/ci.yaml:1", "has an empty item in brackets, or a bracket that is not closed", "Close it with ] or }"),
]
# fmt: on


@pytest.mark.parametrize(
    ("option", "path", "message", "cure"), OPTIONS, ids=[o[0] for o in OPTIONS]
)
def test_a_problem_of_an_option_names_the_option(
    tmp_path: Path, option: str, path: str, message: str, cure: str
) -> None:
    result = load_files(tmp_path, {}, sets=[option])
    assert messages(result) == [(f"--set {option}{path}", message, cure)]


@pytest.mark.parametrize(
    ("text", "location", "message", "cure"), OVERLAYS, ids=[f"{o[1]} {o[2]}" for o in OVERLAYS]
)
def test_a_problem_of_an_overlay_has_its_location(
    tmp_path: Path, text: str, location: str, message: str, cure: str
) -> None:
    result = load_files(tmp_path, {"overlays/ci.yaml": text}, environment="ci")
    assert messages(result) == [(location, message, cure)]


def test_an_unknown_environment_lists_the_existing_ones(tmp_path: Path) -> None:
    location, message = "--env prd", "the overlay 'prd' does not exist"
    none = load_files(tmp_path, {}, environment="prd")
    assert messages(none) == [(location, message, "Write overlays/prd.yaml.")]
    overlays = {"overlays/prod.yaml": OVERLAY, "overlays/ci.yaml": OVERLAY}
    cure = "Did you mean prod? There are: ci, prod."
    assert messages(load_files(tmp_path, overlays, environment="prd")) == [
        (location, message, cure)
    ]
    assert load_files(tmp_path, overlays, environment="../tone").problems


def test_a_problem_of_the_defaults_is_reported_once_with_its_location(tmp_path: Path) -> None:
    project = PROJECT.replace("epochCount", "epochs")
    files = {"project.yaml": project, "other.yaml": TONE.replace("tone", "other")}
    expected = "project.yaml:9: spec.defaults.hyperparameters.epochs"
    ((location, message, cure),) = messages(load_files(tmp_path, files))
    assert (location, message) == (expected, "unknown field")
    assert cure == "Did you mean epochCount?"


def test_learning_rates_of_two_layers_exclude_each_other_until_one_is_null(tmp_path: Path) -> None:
    project = PROJECT.replace("batchSize: 1", "learningRate: 0.1")
    tone = TONE + "  hyperparameters:\n    learningRateMultiplier: 2\n"
    result = load_files(tmp_path, {"project.yaml": project, "tone.yaml": tone})
    assert messages(result) == [
        (
            "tone.yaml:8: spec.hyperparameters.learningRateMultiplier",
            "excludes learningRate, which is in project.yaml:9",
            "Keep one of the two; the value null removes the value of a lower layer",
        )
    ]
    dropped = tone + "    learningRate: null\n"
    assert load_files(tmp_path, {"project.yaml": project, "tone.yaml": dropped}).problems == ()


def test_the_location_of_a_field_is_in_the_layer_that_won(tmp_path: Path) -> None:
    result = load_files(
        tmp_path,
        {"overlays/ci.yaml": OVERLAY + "  dataset: {path: e.jsonl}\n"},
        environment="ci",
        sets=["tone.evaluation.path=f.jsonl"],
    )
    (declared,) = result.models
    location = declared.location_of("spec.dataset.path")
    assert (location.file, location.line) == ("overlays/ci.yaml", 4)
    location = declared.location_of("spec.evaluation.path")
    assert (location.file, location.line) == ("--set tone.evaluation.path=f.jsonl", 0)
    location = declared.location_of("spec.topK")
    assert (location.file, location.line, location.path) == (
        "project.yaml",
        6,
        ("spec", "defaults", "topK"),
    )


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
def test_merging_a_layer_twice_is_the_same_as_once(
    below: dict[str, Value], above: dict[str, Value]
) -> None:
    once = merge(below, above)
    assert merge(once, above) == once


@given(MAPPINGS, MAPPINGS)
def test_values_of_the_layer_above_win(below: dict[str, Value], above: dict[str, Value]) -> None:
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
