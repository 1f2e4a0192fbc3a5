"""Every problem of a manifest: location, message and cure, in full."""

# ruff: noqa: E501  # a split message cannot be searched for

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunedmodels.errors import Problem, ProblemsFoundError
from tunedmodels.manifests.load import load

PROJECT = "apiVersion: tunedmodels.dev/v1\nkind: Project\nmetadata: {name: demo}\n"
HEAD = "apiVersion: tunedmodels.dev/v1\nkind: TunedModel\n"
NAMED = HEAD + "metadata: {name: tone}\nspec:\n"
BODY = "  baseModel: models/x\n  dataset: {path: d.jsonl}\n"
FIELDS = (
    "There are: baseModel, tunedModel, provider, dataset, method, tuningMode, validation, task, "
    "hyperparameters, sweep, displayName, description, temperature, topP, topK, readerProjectNumbers, "
    "evaluation, serviceAccount, encryptionSpec, exportLastCheckpointOnly, lifecycle."
)

Problems = Callable[..., tuple[Problem, ...]]


@pytest.fixture
def problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Problems:
    """Return a function that writes files, loads them and returns their problems."""
    monkeypatch.chdir(tmp_path)

    def write_and_load(
        files: Mapping[str, str | bytes], *, environment: str = "", sets: Sequence[str] = ()
    ) -> tuple[Problem, ...]:
        for name, content in ({"project.yaml": PROJECT} | dict(files)).items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
        try:
            return load(Path(), environment=environment, sets=sets).problems
        except ProblemsFoundError as error:
            return error.problems

    return write_and_load


def summary(problem: Problem) -> tuple[int, str, str, str]:
    return problem.line, problem.path, problem.message, problem.cure


# fmt: off
FIELD_CASES = [  # below spec              line, path below spec, message, cure
    ("  hyperparamters: {epochCount: 1}",
     (7, "hyperparamters", "unknown field", "Did you mean hyperparameters?")),
    ("  base_model: models/x",
     (7, "base_model", "unknown field", "Did you mean baseModel?")),
    ("  epochCount: 5",
     (7, "epochCount", "unknown field", "It belongs at spec.hyperparameters.epochCount.")),
    ("  zzzz: 3",
     (7, "zzzz", "unknown field", FIELDS)),
    ('  lifecycle: {keep: 1,\n    "a\\e": 1}',
     (8, "lifecycle.a\\x1b", "unknown field", "There are: keep, grace, protect, onRemoval, retry, timeout.")),
    ("  hyperparameters: {epochCount: '5'}",
     (7, "hyperparameters.epochCount", "must be a whole number (got '5')", "Write it without quotes: 5")),
    ("  hyperparameters:\n    batchSize: 2.5",
     (8, "hyperparameters.batchSize", "must be a whole number (got 2.5)", "")),
    ("  hyperparameters: {epochCount: true}",
     (7, "hyperparameters.epochCount", "must be a whole number (got true)", "")),
    ("  hyperparameters: {learningRate: high}",
     (7, "hyperparameters.learningRate", "must be a number (got 'high')", "")),
    ("  hyperparameters: {learningRate: 0}",
     (7, "hyperparameters.learningRate", "must be more than 0 (got 0)", "")),
    ("  hyperparameters: {epochCount: 5000}",
     (7, "hyperparameters.epochCount", "must be at most 1000 (got 5000)", "")),
    ("  topK: 0",
     (7, "topK", "must be at least 1 (got 0)", "")),
    ("  temperature: .nan",
     (7, "temperature", "must be a finite number (got .nan)", "")),
    ("  topP: 1e400",
     (7, "topP", "must be a finite number (got .inf)", "")),
    ("  displayName: 5",
     (7, "displayName", "must be text (got 5)", 'Put it in quotes: "5"')),
    ("  displayName: " + "x" * 41,
     (7, "displayName", "has 41 characters; at most 40 are allowed", "")),
    ("  description: [a]",
     (7, "description", "must be text (got a list)", "")),
    ("  readerProjectNumbers: 5",
     (7, "readerProjectNumbers", "must be a list (got 5)", "Write [5]")),
    ("  readerProjectNumbers:\n  - 1\n  - '2'",
     (9, "readerProjectNumbers.1", "must be a whole number (got '2')", "Write it without quotes: 2")),
    ("  evaluation: data.jsonl",
     (7, "evaluation", "must be a mapping (got 'data.jsonl')", "Write KEY: VALUE lines below it")),
    ("  evaluation: {format: jsonl}",
     (7, "evaluation.path", "is missing", "Add it")),
    ("  evaluation: {path: ''}",
     (7, "evaluation.path", "must not be empty", "Set a value, or remove the line")),
    ("  evaluation: {path: e.jsonl, metric: exact}",
     (7, "evaluation.metric", "must be 'exactMatch', 'normalizedMatch', 'labelAccuracy', 'macroF1', 'chrF', 'editSimilarity' or 'jsonFields' (got 'exact')", "Did you mean exactMatch?")),
    ("  evaluation: {path: e.jsonl, atLeast: 80}",
     (7, "evaluation.atLeast", "must be at most 1 (got 80)", "")),
    ("  evaluation: {path: e.jsonl, notWorseThanServing: 0.1}",
     (7, "evaluation.notWorseThanServing", "unknown field", "Did you mean notWorseThanServingBy?")),
    ("  evaluation: {path: e.jsonl, generationConfig: {temperature: 3}}",
     (7, "evaluation.generationConfig.temperature", "must be at most 2 (got 3)", "")),
    ("  evaluation: {path: e.jsonl, onInconclusive: fail}",
     (7, "evaluation.onInconclusive", "must be 'refuse' or 'promote' (got 'fail')", "")),
    ("  lifecycle: {protect: yes}",
     (7, "lifecycle.protect", "must be true or false (got 'yes')", "Write true; yes, no, on and off are text in YAML 1.2")),
    ("  lifecycle: {protect: 'true'}",
     (7, "lifecycle.protect", "must be true or false (got 'true')", "Write it without quotes: true")),
    ("  lifecycle: {onRemoval: Retain}",
     (7, "lifecycle.onRemoval", "must be 'delete' or 'retain' (got 'Retain')", "Did you mean retain?")),
    ("  lifecycle: {timeout: soon}",
     (7, "lifecycle.timeout", "'soon' is not a valid duration", "Use for example 2h, 90m or 7d")),
    ("  lifecycle: {grace: 7}",
     (7, "lifecycle.grace", "'7' is not a valid duration", "Use for example 2h, 90m or 7d")),
    ("  tunedModel: other",
     (7, "tunedModel", "excludes baseModel, which is in m.yaml:5", "Keep one of the two")),
    ("  hyperparameters:\n    learningRateMultiplier: 1\n    learningRate: 1",
     (9, "hyperparameters.learningRate", "excludes learningRateMultiplier, which is in m.yaml:8", "Keep one of the two")),
    ("  provider: embeddet",
     (7, "provider", "no provider is called 'embeddet'", "Did you mean embedded? There are: embedded, gemini; declare more in spec.providers.")),
    ("  evaluation: {path: /etc/passwd}",
     (7, "evaluation.path", "is an absolute path (got '/etc/passwd')", "Use a path inside the directory of the Project file, relative to it")),
    ("  evaluation: {path: a/../../b}",
     (7, "evaluation.path", "is outside the project (got 'a/../../b')", "Use a path inside the directory of the Project file, relative to it")),
    ("  evaluation: {path: ..}",
     (7, "evaluation.path", "is outside the project (got '..')", "Use a path inside the directory of the Project file, relative to it")),
    ('  evaluation: {path: "a\\0b"}',
     (7, "evaluation.path", "contains a NUL character (got 'a\\x00b')", "Use a path inside the directory of the Project file, relative to it")),
    ("  baseModel: models/y",
     (7, "baseModel", "is a duplicate key, first in line 5", "Keep one of the two")),
]
DOCUMENT_CASES = [  # a whole document      line, path, message, cure
    (HEAD + "metadata: {name: " + "a" * 32 + "}\nspec:\n" + BODY,
     (3, "metadata.name", "has 32 characters; at most 31 are allowed", "Shorten it; a version ID of 40 characters is the name, a hyphen and 8 digits")),
    (HEAD + "metadata:\n  name: Next_Number\nspec:\n" + BODY,
     (4, "metadata.name", "must be a-z, 0-9 and hyphens, begin with a letter and not end with a hyphen (got 'Next_Number')", "Did you mean next-number?")),
    (HEAD + "metadata: 5\nspec:\n" + BODY,
     (3, "metadata", "must be a mapping (got 5)", "Write KEY: VALUE lines below it")),
    (HEAD + "metadata: {name: tone}\nspec:\n  # nothing yet\n",
     (4, "spec", "is missing", "Add it")),
    (NAMED + "  dataset: {path: d}\n",
     (4, "spec", "has neither baseModel nor tunedModel", "Add baseModel: models/NAME, or tunedModel: the name of another TunedModel")),
    (NAMED + "  baseModel: gemini\n  dataset: {path: d}\n",
     (5, "spec.baseModel", "must be models/NAME (got 'gemini')", "Did you mean models/gemini?")),
    (NAMED + "  tunedModel: tone\n  dataset: {path: d}\n",
     (5, "spec.tunedModel", "is a cycle: tone -> tone", "Give one of them a baseModel")),
    (NAMED + "  tunedModel: gone\n  dataset: {path: d}\n",
     (5, "spec.tunedModel", "no TunedModel is called 'gone'", "")),
    ("apiVersion: tunedmodels.dev/v1\nkind: TunedModle\n",
     (2, "kind", "must be Project or TunedModel (got 'TunedModle')", "Did you mean TunedModel?")),
    ("apiVersion: tunedmodels.dev/v1\nknd: TunedModel\n",
     (1, "kind", "is missing", "Add kind: TunedModel")),
    (NAMED.replace("v1", "v2") + BODY,
     (1, "apiVersion", "must be 'tunedmodels.dev/v1' (got 'tunedmodels.dev/v2')", "Did you mean tunedmodels.dev/v1?")),
    ("- apiVersion: tunedmodels.dev/v1\n  kind: TunedModel\n",
     (1, "", "is a list of manifests", "Write one after the other, with --- between them")),
    ("kind: TunedModel\n",
     (1, "apiVersion", "is missing", "Write apiVersion: tunedmodels.dev/v1")),
    ("kind: TunedModel\napiVersion: tunedmodel.dev/v1\n",
     (2, "apiVersion", "must be tunedmodels.dev/v1 (got 'tunedmodel.dev/v1')", "Write apiVersion: tunedmodels.dev/v1")),
    ("\ufeff" + NAMED + "\tbaseModel: models/x\n",
     (5, "", "YAML does not allow tabs for indentation", "Indent with spaces")),
]
PROJECT_CASES = [  # in the Project's spec   path, message, cure
    ("provider: hosted",
     ("spec.provider", "no provider is called 'hosted'", "There are: embedded, gemini; declare more in spec.providers.")),
    ("providers: {eu: {type: gemni}}",
     ("spec.providers.eu.type", "must be 'embedded', 'gemini' or 'vertex' (got 'gemni')", "Did you mean gemini?")),
    ("providers: {eu: {}}",
     ("spec.providers.eu.type", "is missing", "Write type: embedded, gemini or vertex")),
    ("providers: {eu: {type: gemini, endpoint: ftp}}",
     ("spec.providers.eu.endpoint", "must begin with http:// or https:// (got 'ftp')", "Use for example http://127.0.0.1:8787")),
    ("providers: {eu: {type: gemini, jobs: 3}}",
     ("spec.providers.eu.jobs", "unknown field", "There are: type, endpoint, owners.")),
    ("policy: {maxDeletePercent: 101}",
     ("spec.policy.maxDeletePercent", "must be at most 100 (got 101)", "")),
    ("policy: {allowedBaseModels: models/x}",
     ("spec.policy.allowedBaseModels", "must be a list (got 'models/x')", "Write ['models/x']")),
]
# fmt: on


@pytest.mark.parametrize(("text", "expected"), FIELD_CASES, ids=[c[0] for c in FIELD_CASES])
def test_a_wrong_field_is_explained(
    problems: Problems, text: str, expected: tuple[int, str, str, str]
) -> None:
    (problem,) = problems({"m.yaml": f"{NAMED}{BODY}{text}\n"})
    line, path, message, cure = expected
    assert problem.file == "m.yaml"
    assert summary(problem) == (line, f"spec.{path}", message, cure)


@pytest.mark.parametrize(
    ("text", "expected"), DOCUMENT_CASES, ids=[" ".join(map(str, c[1][:3])) for c in DOCUMENT_CASES]
)
def test_a_wrong_document_is_explained(
    problems: Problems, text: str, expected: tuple[int, str, str, str]
) -> None:
    (problem,) = problems({"m.yaml": text})
    assert summary(problem) == expected


@pytest.mark.parametrize(("text", "expected"), PROJECT_CASES, ids=[c[0] for c in PROJECT_CASES])
def test_a_wrong_project_is_explained(
    problems: Problems, text: str, expected: tuple[str, str, str]
) -> None:
    (problem,) = problems({"project.yaml": f"{PROJECT}spec:\n  {text}\n"})
    assert summary(problem) == (5, *expected)


def test_all_problems_of_all_files_are_reported_at_once_in_order(problems: Problems) -> None:
    reported = problems(
        {
            "b.yaml": f"{NAMED}{BODY}  topK: 0\n  topp: 1\n",
            "a.yaml": "apiVersion: tunedmodels.dev/v1\nkind: [\n",
            "c/d.yml": f"{NAMED}  hyperparameters: {{learningRate: 1, learningRateMultiplier: x}}\n",
            "project.yaml": f"{PROJECT}spec: {{policyy: {{}}}}\n",
        }
    )
    assert [(p.file, p.line, p.path) for p in reported] == [
        ("a.yaml", 2, ""),
        ("b.yaml", 7, "spec.topK"),
        ("b.yaml", 8, "spec.topp"),
        ("c/d.yml", 3, "metadata.name"),
        ("c/d.yml", 4, "spec"),
        ("c/d.yml", 4, "spec.dataset"),
        ("c/d.yml", 5, "spec.hyperparameters.learningRateMultiplier"),
        ("c/d.yml", 5, "spec.hyperparameters.learningRateMultiplier"),
        ("project.yaml", 4, "spec.policyy"),
    ]


def test_a_duplicate_name_has_both_locations(problems: Problems) -> None:
    (problem,) = problems({"a.yaml": NAMED + BODY, "b.yaml": f"\n{NAMED}{BODY}"})
    message = "'tone' is also declared in a.yaml:3"
    assert problem.location == "b.yaml:4: metadata.name"
    assert summary(problem)[2:] == (message, "Rename one of the two")


def test_a_cycle_is_reported_once_with_its_path(problems: Problems) -> None:
    def continuing(name: str, parent: str) -> str:
        return NAMED.replace("tone", name) + f"  tunedModel: {parent}\n  dataset: {{path: d}}\n"

    text = "---\n".join(continuing(*pair) for pair in ("ab", "bc", "cb", "da"))
    (problem,) = problems({"m.yaml": text})
    assert summary(problem) == (
        12,
        "spec.tunedModel",
        "is a cycle: b -> c -> b",
        "Give one of them a baseModel",
    )


def test_an_invalid_parent_is_not_reported_as_unknown(problems: Problems) -> None:
    child = NAMED.replace("tone", "child") + "  tunedModel: tone\n  dataset: {path: d}\n"
    (problem,) = problems({"m.yaml": f"{child}---\n{NAMED}{BODY}  topK: x\n"})
    assert problem.path == "spec.topK"


def test_the_value_of_an_unknown_field_is_not_repeated_because_it_can_be_a_secret(
    problems: Problems,
) -> None:
    (problem,) = problems({"m.yaml": f"{NAMED}{BODY}  apiKey: AIzaSecret\n"})
    assert "AIza" not in problem.message + problem.cure


def test_a_link_to_a_file_outside_the_project_is_rejected(
    problems: Problems, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "d.jsonl").touch()
    (tmp_path / "d.jsonl").symlink_to(outside / "d.jsonl")
    (tmp_path / "folder").symlink_to(outside)
    text = f"{NAMED}{BODY}  evaluation: {{path: folder/d.jsonl}}\n"
    reported = problems({"m.yaml": text})
    assert [(p.line, p.code) for p in reported] == [(6, "outside-project"), (7, "outside-project")]
    assert reported[0].message == "is a link to a file outside the project (got 'd.jsonl')"


def test_a_link_inside_the_project_is_accepted(problems: Problems, tmp_path: Path) -> None:
    (tmp_path / "real.jsonl").touch()
    (tmp_path / "d.jsonl").symlink_to("real.jsonl")
    assert problems({"m.yaml": NAMED + BODY}) == ()


ANYTHING = st.binary(max_size=80) | st.text(
    st.sampled_from("aspec:- \n\t{}[]&*!|'\"<~0\x1b\u00e9"), max_size=60
).map(str.encode)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(ANYTHING, st.sampled_from([b"", HEAD.encode(), NAMED.encode(), (NAMED + BODY).encode()]))
def test_no_manifest_raises_anything_but_problems(
    problems: Problems, noise: bytes, start: bytes
) -> None:
    for problem in problems({"m.yaml": start + noise + b"\n# apiVersion: tunedmodels.dev/v1\n"}):
        assert problem.message.isprintable()
        assert problem.location.isprintable()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.text(max_size=30))
def test_no_option_raises_anything_but_problems(problems: Problems, text: str) -> None:
    for option in (text, f"tone.{text}", f"tone.topK={text}", f"Project.{text}=1"):
        for problem in problems({"m.yaml": NAMED + BODY}, sets=[option]):
            assert problem.file.isprintable()
