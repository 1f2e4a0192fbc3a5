"""The contract of a forge: one comment, all pages of a list, errors with a cure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import stamina
from starlette.responses import JSONResponse, PlainTextResponse, Response

from tests.support.fakes.false_answers import FALSE_ANSWERS, FalseAnswers
from tests.support.fakes.forges import FORGES as FAKES
from tests.support.fakes.forges import MAX_COMMENT, STRANGER, TOKEN, ForgeState
from tunedmodels.errors import (
    InvalidArgumentError,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    ProviderError,
    RateLimitedError,
    RefusedError,
    UnauthenticatedError,
    UnavailableError,
)
from tunedmodels.forges import github, gitlab
from tunedmodels.forges.forge import Forge
from tunedmodels.forges.plan_comment import (
    CommentResult,
    CommentTarget,
    Marker,
    approved_digest,
    edit_existing,
    upsert,
)
from tunedmodels.forges.registry import FORGES
from tunedmodels.providers.http import asgi_transport
from tunedmodels.providers.retry import MAX_ATTEMPTS

OPENERS: dict[str, Any] = {
    "github": ({"GITHUB_API_URL": "http://localhost"}, "GITHUB_TOKEN", "o/r", github.open_github),
    "gitlab": (
        {"CI_API_V4_URL": "http://localhost/api/v4"},
        "GITLAB_TOKEN",
        "42",
        gitlab.open_gitlab,
    ),
}

TARGET = CommentTarget(7, "prod")


def marked(text: str, environment: str = "prod", **others: Any) -> str:
    return f"{Marker(environment, 'sha256:' + 'a' * 64, **others).format()}\n{text}"


@pytest.fixture(autouse=True, scope="module")
def no_retry_delays() -> Iterator[None]:
    with stamina.set_testing(True, attempts=MAX_ATTEMPTS):
        yield


@pytest.fixture
def state() -> ForgeState:
    return ForgeState()


@pytest.fixture(params=sorted(FORGES))
def forge_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def open_repository(forge_name: str, state: ForgeState, token: str = TOKEN) -> Forge:
    environ, variable, repository, open_forge = OPENERS[forge_name]
    app: Any = FAKES[forge_name](state)
    forge: Forge = open_forge(
        environ | {variable: token}, repository, transport=asgi_transport(app)
    )
    return forge


async def test_the_first_plan_creates_a_comment_and_the_next_one_edits_it(
    forge_name: str, state: ForgeState
) -> None:
    async with open_repository(forge_name, state) as forge:
        assert (await upsert(forge, TARGET, marked("one")))[0] is CommentResult.CREATED
        assert (await upsert(forge, TARGET, marked("two")))[0] is CommentResult.EDITED
    assert state.bodies() == [marked("two")]


async def test_the_same_plan_again_sends_no_request(forge_name: str, state: ForgeState) -> None:
    async with open_repository(forge_name, state) as forge:
        await upsert(forge, TARGET, marked("one\ntwo\n"))
        state.pull_requests[7][0].body = marked("one\ntwo")  # forges strip the end
        state.requests.clear()
        assert (await upsert(forge, TARGET, marked("one\ntwo\n")))[0] is CommentResult.UNCHANGED
    assert state.writes() == []


async def test_the_comment_is_found_on_the_last_page_after_pages_that_are_not_full(
    forge_name: str, state: ForgeState
) -> None:
    state.page_size = 2
    for number in range(5):
        state.write(7, f"chat {number}")
    state.write(7, marked("old"))
    async with open_repository(forge_name, state) as forge:
        assert (await upsert(forge, TARGET, marked("new")))[0] is CommentResult.EDITED
    assert state.bodies()[-1] == marked("new")
    assert len(state.bodies()) == 6


async def test_every_environment_has_its_own_comment(forge_name: str, state: ForgeState) -> None:
    async with open_repository(forge_name, state) as forge:
        for environment in ("", "prod", "staging"):
            await upsert(forge, CommentTarget(7, environment), marked("plan", environment))
        await upsert(forge, TARGET, marked("new"))
    assert state.bodies() == [marked("plan", ""), marked("new"), marked("plan", "staging")]


async def test_every_project_of_a_repository_has_its_own_comment(
    forge_name: str, state: ForgeState
) -> None:
    async with open_repository(forge_name, state) as forge:
        for project in ("one", "two"):
            await upsert(forge, CommentTarget(7, "prod", project), marked("plan", project=project))
        await upsert(forge, CommentTarget(7, "prod", "one"), marked("new", project="one"))
    assert state.bodies() == [marked("new", project="one"), marked("plan", project="two")]


async def test_the_newest_of_two_comments_is_edited_and_the_older_one_deleted(
    forge_name: str, state: ForgeState
) -> None:
    for text in ("first", "second"):
        state.write(7, marked(text))
    state.write(7, marked("other", "staging"))
    async with open_repository(forge_name, state) as forge:
        assert (await upsert(forge, TARGET, marked("new")))[0] is CommentResult.EDITED
    assert state.bodies() == [marked("new"), marked("other", "staging")]
    assert state.pull_requests[7][0].id == 102


async def test_a_comment_of_a_stranger_is_neither_edited_nor_trusted(
    forge_name: str, state: ForgeState
) -> None:
    state.write(7, marked("trap"), STRANGER)
    async with open_repository(forge_name, state) as forge:
        with pytest.raises(RefusedError, match="nothing was approved"):
            await approved_digest(forge, TARGET)
        assert (await upsert(forge, TARGET, marked("plan")))[0] is CommentResult.CREATED
    assert state.bodies() == [marked("trap"), marked("plan")]


async def test_a_quoted_marker_is_ignored(forge_name: str, state: ForgeState) -> None:
    state.write(7, "> look\n" + marked("quoted"))
    async with open_repository(forge_name, state) as forge:
        assert (await upsert(forge, TARGET, marked("plan")))[0] is CommentResult.CREATED


async def test_a_comment_is_found_after_a_lost_response(forge_name: str, state: ForgeState) -> None:
    state.loses_creations = True
    async with open_repository(forge_name, state) as forge:
        assert (await upsert(forge, TARGET, marked("plan")))[0] is CommentResult.CREATED
    assert state.bodies() == [marked("plan")]


async def test_a_lost_create_without_a_comment_is_an_error_and_not_sent_twice(
    forge_name: str, state: ForgeState
) -> None:
    before = {"github": 1, "gitlab": 2}[forge_name]
    state.next_responses = [None] * before + [PlainTextResponse("bad gateway", 502)]
    async with open_repository(forge_name, state) as forge:
        with pytest.raises(OutcomeUnknownError) as caught:
            await upsert(forge, TARGET, marked("plan"))
    assert "run it again" in caught.value.cure
    assert len(state.writes()) == 1


async def test_edit_existing_edits_only_an_existing_comment(
    forge_name: str, state: ForgeState
) -> None:
    async with open_repository(forge_name, state) as forge:
        assert await edit_existing(forge, TARGET, str.upper) is None
        state.write(7, marked("plan"))
        edited = await edit_existing(forge, TARGET, lambda body: f"{body}!")
    assert edited
    assert edited[0] is CommentResult.EDITED
    assert state.bodies() == [marked("plan!")]


async def test_the_approved_digest_is_that_of_the_newest_comment(
    forge_name: str, state: ForgeState
) -> None:
    state.write(7, marked("older"))
    state.write(7, marked("plan"))
    async with open_repository(forge_name, state) as forge:
        assert await approved_digest(forge, TARGET) == "sha256:" + "a" * 64
        state.write(7, marked("plan", level="stale"))
        with pytest.raises(RefusedError, match="stale"):
            await approved_digest(forge, TARGET)
    assert state.writes() == []


async def test_the_pull_request_of_a_merged_commit_is_found(
    forge_name: str, state: ForgeState
) -> None:
    state.merged["abc"] = 7
    async with open_repository(forge_name, state) as forge:
        assert await forge.merged_pull_request("abc") == 7
        assert await forge.merged_pull_request("def") is None


async def test_deleting_a_deleted_comment_does_nothing(forge_name: str, state: ForgeState) -> None:
    async with open_repository(forge_name, state) as forge:
        _, comment = await upsert(forge, TARGET, marked("plan"))
        await forge.delete(7, comment)
        await forge.delete(7, comment)
    assert state.bodies() == []


# Errors -----------------------------------------------------------------------------------------


async def upsert_error(
    forge_name: str, state: ForgeState, body: str = "plan", token: str = TOKEN
) -> ProviderError:
    async with open_repository(forge_name, state, token) as forge:
        with pytest.raises(ProviderError) as caught:
            await upsert(forge, TARGET, marked(body))
    assert TOKEN not in caught.value.message + caught.value.cure + repr(forge)
    assert "\n" not in caught.value.message
    return caught.value


async def test_the_error_of_an_invalid_token_names_its_variable(
    forge_name: str, state: ForgeState
) -> None:
    error = await upsert_error(forge_name, state, token="wrong")  # noqa: S106  # an invalid token
    assert isinstance(error, UnauthenticatedError)
    assert {"github": "GITHUB_TOKEN", "gitlab": "GITLAB_TOKEN"}[forge_name] in error.cure


async def test_without_a_token_no_request_is_sent(forge_name: str, state: ForgeState) -> None:
    assert isinstance(await upsert_error(forge_name, state, token=""), UnauthenticatedError)
    assert state.requests == []


async def test_the_error_of_a_read_only_token_names_the_permission(
    forge_name: str, state: ForgeState
) -> None:
    state.can_write = False
    error = await upsert_error(forge_name, state)
    assert isinstance(error, PermissionDeniedError)
    assert {"github": "pull-requests: write", "gitlab": "scope `api`"}[forge_name] in error.cure


async def test_the_error_of_an_unknown_pull_request_says_what_to_check(
    forge_name: str, state: ForgeState
) -> None:
    del state.pull_requests[7]
    error = await upsert_error(forge_name, state)
    assert isinstance(error, NotFoundError)
    assert "--repo" in error.cure


async def test_the_error_of_a_long_comment_is_that_of_the_forge(
    forge_name: str, state: ForgeState
) -> None:
    error = await upsert_error(forge_name, state, "x" * MAX_COMMENT)
    assert isinstance(error, InvalidArgumentError)
    assert "too long" in error.message


def rate_limited(code: int, message: str, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return JSONResponse({"message": message}, code, headers=named)


SECONDARY = "You have exceeded a secondary rate limit."
LIMITS = [
    pytest.param(rate_limited(429, "Too many.", retry_after="1"), id="429"),
    pytest.param(PlainTextResponse("Retry later\n", 429), id="429 as text"),
    pytest.param(rate_limited(403, SECONDARY, retry_after="1"), id="403, retry-after"),
    pytest.param(
        rate_limited(
            403, "API rate limit exceeded", x_ratelimit_remaining="0", x_ratelimit_reset="1"
        ),
        id="403, reset is past",
    ),
    pytest.param(rate_limited(503, "Unavailable", retry_after="1"), id="503"),
]


@pytest.mark.parametrize("answer", LIMITS)
async def test_a_rate_limit_is_waited_for_and_the_request_repeated(
    forge_name: str, state: ForgeState, answer: Response
) -> None:
    state.next_responses = [answer]
    async with open_repository(forge_name, state) as forge:
        assert (await upsert(forge, TARGET, marked("plan")))[0] is CommentResult.CREATED
    assert state.bodies() == [marked("plan")]


async def test_a_secondary_rate_limit_on_the_create_gives_one_comment(
    forge_name: str, state: ForgeState
) -> None:
    before = {"github": 1, "gitlab": 2}[forge_name]
    state.next_responses = [*[None] * before, rate_limited(403, SECONDARY, retry_after="1")]
    async with open_repository(forge_name, state) as forge:
        assert (await upsert(forge, TARGET, marked("plan")))[0] is CommentResult.CREATED
    assert state.bodies() == [marked("plan")]


async def test_a_long_rate_limit_is_an_error(forge_name: str, state: ForgeState) -> None:
    state.next_responses = [rate_limited(403, SECONDARY, retry_after="3600")]
    error = await upsert_error(forge_name, state)
    assert isinstance(error, RateLimitedError)
    assert SECONDARY in error.message
    assert len(state.requests) == 1


async def test_a_secondary_rate_limit_without_a_time_is_one_minute(
    forge_name: str, state: ForgeState
) -> None:
    state.next_responses = [rate_limited(403, SECONDARY)]
    error = await upsert_error(forge_name, state)
    assert isinstance(error, RateLimitedError)
    assert error.retry_after_s == 60.0


async def test_a_forge_that_keeps_failing_is_an_error_with_its_message(
    forge_name: str, state: ForgeState
) -> None:
    state.next_responses = [
        PlainTextResponse("<html><title>Unicorn!</title>", 500) for _ in range(5)
    ]
    error = await upsert_error(forge_name, state)
    assert isinstance(error, UnavailableError)
    assert "500 Internal Server Error: Unicorn!" in error.message


async def test_a_response_that_is_not_a_list_is_an_error(
    forge_name: str, state: ForgeState
) -> None:
    state.next_responses = [PlainTextResponse("<html>login</html>")] * 2
    assert "cannot be read" in (await upsert_error(forge_name, state)).message


async def test_a_token_in_an_error_message_is_replaced(forge_name: str, state: ForgeState) -> None:
    state.next_responses = [rate_limited(403, f"token {TOKEN} may not")]
    assert "token [secret] may not" in (await upsert_error(forge_name, state)).message


async def test_a_next_page_on_another_host_receives_no_request(
    forge_name: str, state: ForgeState
) -> None:
    other_host = {"link": '<https://elsewhere.test/x?page=2>; rel="next"'}
    first = {"github": 0, "gitlab": 1}[forge_name]
    state.next_responses = [*[None] * first, JSONResponse([], headers=other_host)]
    async with open_repository(forge_name, state) as forge:
        await upsert(forge, TARGET, marked("plan"))
    assert state.requests[first].replace("POST", "GET") == state.requests[first + 1]
    assert len(state.bodies()) == 1


@pytest.mark.parametrize("answer", FALSE_ANSWERS)
@pytest.mark.parametrize("start", ["none", "one", "two"])
async def test_a_comment_is_reported_as_written_only_if_it_was(
    forge_name: str, state: ForgeState, answer: str, start: str
) -> None:
    for number in range(["none", "one", "two"].index(start)):
        state.write(7, marked(f"old {number}"))
    environ, variable, repository, open_forge = OPENERS[forge_name]
    app: Any = FAKES[forge_name](state)
    answers = FalseAnswers(
        asgi_transport(app), lambda request: request.method != "GET", FALSE_ANSWERS[answer]
    )
    async with open_forge(environ | {variable: TOKEN}, repository, transport=answers) as forge:
        with pytest.raises(OutcomeUnknownError):
            await upsert(forge, TARGET, marked("new"))
        assert answers.hits
        answers.has_effect = True
        assert (await upsert(forge, TARGET, marked("new")))[0] is not CommentResult.UNCHANGED
    assert state.bodies() == [marked("new")]


@pytest.mark.parametrize("answer", FALSE_ANSWERS)
async def test_a_list_of_comments_is_never_a_false_answer(
    forge_name: str, state: ForgeState, answer: str
) -> None:
    if answer == "list":
        pytest.skip("an empty list is the answer when there is no comment")
    environ, variable, repository, open_forge = OPENERS[forge_name]
    app: Any = FAKES[forge_name](state)
    answers = FalseAnswers(asgi_transport(app), answer=FALSE_ANSWERS[answer])
    async with open_forge(environ | {variable: TOKEN}, repository, transport=answers) as forge:
        with pytest.raises(ProviderError):
            await upsert(forge, TARGET, marked("new"))
        with pytest.raises(ProviderError):
            await forge.merged_pull_request("abc")
    assert state.bodies() == []
