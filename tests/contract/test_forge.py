"""What every forge promises, on real servers' words: one comment, all pages, errors that help."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import stamina
from starlette.responses import JSONResponse, PlainTextResponse, Response

from tests.support.fakes.forges import FORGES as FAKES
from tests.support.fakes.forges import LONGEST, STRANGER, TOKEN, Desk
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
from tunedmodels.forges.plan_comment import Done, Marker, Thread, amend, put, shown_digest
from tunedmodels.forges.registry import FORGES
from tunedmodels.providers.http import in_process
from tunedmodels.providers.retry import ATTEMPTS

PLACES: dict[str, Any] = {
    "github": ({"GITHUB_API_URL": "http://localhost"}, "GITHUB_TOKEN", "o/r", github.open_github),
    "gitlab": (
        {"CI_API_V4_URL": "http://localhost/api/v4"},
        "GITLAB_TOKEN",
        "42",
        gitlab.open_gitlab,
    ),
}

THREAD = Thread(7, "prod")


def marked(text: str, env: str = "prod", **others: Any) -> str:
    return f"{Marker(env, 'sha256:' + 'a' * 64, **others).line()}\n{text}"


@pytest.fixture(autouse=True, scope="module")
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=ATTEMPTS):
        yield


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture(params=sorted(FORGES))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def at(kind: str, desk: Desk, token: str = TOKEN) -> Forge:
    environ, variable, repository, open_it = PLACES[kind]
    app: Any = FAKES[kind](desk)
    forge: Forge = open_it(environ | {variable: token}, repository, transport=in_process(app))
    return forge


async def test_the_first_plan_is_a_new_comment_and_the_next_one_edits_it(
    kind: str, desk: Desk
) -> None:
    async with at(kind, desk) as forge:
        assert (await put(forge, THREAD, marked("one")))[0] is Done.CREATED
        assert (await put(forge, THREAD, marked("two")))[0] is Done.EDITED
    assert desk.bodies() == [marked("two")]


async def test_the_same_plan_again_sends_nothing(kind: str, desk: Desk) -> None:
    async with at(kind, desk) as forge:
        await put(forge, THREAD, marked("one\ntwo\n"))
        desk.pulls[7][0].body = marked("one\ntwo")  # forges trim
        desk.asked.clear()
        assert (await put(forge, THREAD, marked("one\ntwo\n")))[0] is Done.UNCHANGED
    assert desk.writes() == []


async def test_the_comment_is_found_on_the_last_page_even_after_a_page_that_is_not_full(
    kind: str, desk: Desk
) -> None:
    desk.page_size = 2
    for number in range(5):
        desk.write(7, f"chat {number}")
    desk.write(7, marked("old"))
    async with at(kind, desk) as forge:
        assert (await put(forge, THREAD, marked("new")))[0] is Done.EDITED
    assert desk.bodies()[-1] == marked("new")
    assert len(desk.bodies()) == 6


async def test_every_environment_has_its_own_comment(kind: str, desk: Desk) -> None:
    async with at(kind, desk) as forge:
        for env in ("", "prod", "staging"):
            await put(forge, Thread(7, env), marked("plan", env))
        await put(forge, THREAD, marked("new"))
    assert desk.bodies() == [marked("plan", ""), marked("new"), marked("plan", "staging")]


async def test_two_projects_of_a_repository_do_not_touch_each_others_comment(
    kind: str, desk: Desk
) -> None:
    async with at(kind, desk) as forge:
        for project in ("one", "two"):
            await put(forge, Thread(7, "prod", project), marked("plan", project=project))
        await put(forge, Thread(7, "prod", "one"), marked("new", project="one"))
    assert desk.bodies() == [marked("new", project="one"), marked("plan", project="two")]


async def test_of_two_comments_the_newest_is_edited_and_the_older_ones_go(
    kind: str, desk: Desk
) -> None:
    for text in ("first", "second"):
        desk.write(7, marked(text))
    desk.write(7, marked("other", "staging"))
    async with at(kind, desk) as forge:
        assert (await put(forge, THREAD, marked("new")))[0] is Done.EDITED
    assert desk.bodies() == [marked("new"), marked("other", "staging")]
    assert desk.pulls[7][0].id == 102


async def test_a_marker_that_a_stranger_wrote_is_never_written_into_nor_believed(
    kind: str, desk: Desk
) -> None:
    desk.write(7, marked("trap"), STRANGER)
    async with at(kind, desk) as forge:
        with pytest.raises(RefusedError, match="nothing was approved"):
            await shown_digest(forge, THREAD)
        assert (await put(forge, THREAD, marked("plan")))[0] is Done.CREATED
    assert desk.bodies() == [marked("trap"), marked("plan")]


async def test_a_marker_that_is_quoted_further_down_is_not_ours(kind: str, desk: Desk) -> None:
    desk.write(7, "> look\n" + marked("quoted"))
    async with at(kind, desk) as forge:
        assert (await put(forge, THREAD, marked("plan")))[0] is Done.CREATED


async def test_a_creation_whose_answer_was_lost_is_found_again(kind: str, desk: Desk) -> None:
    desk.loses_creations = True
    async with at(kind, desk) as forge:
        assert (await put(forge, THREAD, marked("plan")))[0] is Done.CREATED
    assert desk.bodies() == [marked("plan")]


async def test_a_creation_that_is_nowhere_is_an_error_and_is_not_sent_twice(
    kind: str, desk: Desk
) -> None:
    before = {"github": 1, "gitlab": 2}[kind]
    desk.answers = [None] * before + [PlainTextResponse("bad gateway", 502)]
    async with at(kind, desk) as forge:
        with pytest.raises(OutcomeUnknownError) as caught:
            await put(forge, THREAD, marked("plan"))
    assert "run it again" in caught.value.cure
    assert len(desk.writes()) == 1


async def test_a_comment_is_amended_where_there_is_one(kind: str, desk: Desk) -> None:
    async with at(kind, desk) as forge:
        assert await amend(forge, THREAD, str.upper) is None
        desk.write(7, marked("plan"))
        amended = await amend(forge, THREAD, lambda body: f"{body}!")
    assert amended
    assert amended[0] is Done.EDITED
    assert desk.bodies() == [marked("plan!")]


async def test_the_digest_is_read_and_nothing_is_written(kind: str, desk: Desk) -> None:
    desk.write(7, marked("older"))
    desk.write(7, marked("plan"))
    async with at(kind, desk) as forge:
        assert await shown_digest(forge, THREAD) == "sha256:" + "a" * 64
        desk.write(7, marked("plan", level="stale"))
        with pytest.raises(RefusedError, match="out of date"):
            await shown_digest(forge, THREAD)
    assert desk.writes() == []


async def test_the_pull_request_of_a_merge_is_found(kind: str, desk: Desk) -> None:
    desk.merged["abc"] = 7
    async with at(kind, desk) as forge:
        assert await forge.merged("abc") == 7
        assert await forge.merged("def") is None


async def test_deleting_what_is_gone_does_no_harm(kind: str, desk: Desk) -> None:
    async with at(kind, desk) as forge:
        _, comment = await put(forge, THREAD, marked("plan"))
        await forge.delete(7, comment)
        await forge.delete(7, comment)
    assert desk.bodies() == []


# Refusals ---------------------------------------------------------------------------------------


async def refused(kind: str, desk: Desk, body: str = "plan", token: str = TOKEN) -> ProviderError:
    async with at(kind, desk, token) as forge:
        with pytest.raises(ProviderError) as caught:
            await put(forge, THREAD, marked(body))
    assert TOKEN not in caught.value.message + caught.value.cure + repr(forge)
    assert "\n" not in caught.value.message
    return caught.value


async def test_a_wrong_token_says_where_a_right_one_comes_from(kind: str, desk: Desk) -> None:
    error = await refused(kind, desk, token="wrong")  # noqa: S106  # that is the point
    assert isinstance(error, UnauthenticatedError)
    assert {"github": "GITHUB_TOKEN", "gitlab": "GITLAB_TOKEN"}[kind] in error.cure


async def test_no_token_at_all_sends_nothing(kind: str, desk: Desk) -> None:
    assert isinstance(await refused(kind, desk, token=""), UnauthenticatedError)
    assert desk.asked == []


async def test_a_token_that_may_only_read_names_the_permission(kind: str, desk: Desk) -> None:
    desk.may_write = False
    error = await refused(kind, desk)
    assert isinstance(error, PermissionDeniedError)
    assert {"github": "pull-requests: write", "gitlab": "scope `api`"}[kind] in error.cure


async def test_an_unknown_pull_request_says_what_to_check(kind: str, desk: Desk) -> None:
    del desk.pulls[7]
    error = await refused(kind, desk)
    assert isinstance(error, NotFoundError)
    assert "--repo" in error.cure


async def test_a_text_that_is_too_long_is_refused_in_the_forges_words(
    kind: str, desk: Desk
) -> None:
    error = await refused(kind, desk, "x" * LONGEST)
    assert isinstance(error, InvalidArgumentError)
    assert "too long" in error.message


def slow(code: int, words: str, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return JSONResponse({"message": words}, code, headers=named)


SECONDARY = "You have exceeded a secondary rate limit."
# fmt: off
LIMITS = [
    pytest.param(slow(429, "Too many.", retry_after="1"),                    id="429"),
    pytest.param(PlainTextResponse("Retry later\n", 429),                    id="429 in words"),
    pytest.param(slow(403, SECONDARY, retry_after="1"),                      id="403, retry-after"),
    pytest.param(slow(403, "API rate limit exceeded", x_ratelimit_remaining="0",
                      x_ratelimit_reset="1"),  id="403, reset is past"),
    pytest.param(slow(503, "Unavailable", retry_after="1"),                  id="503"),
]
# fmt: on


@pytest.mark.parametrize("answer", LIMITS)
async def test_too_fast_is_waited_for_and_asked_again(
    kind: str, desk: Desk, answer: Response
) -> None:
    desk.answers = [answer]
    async with at(kind, desk) as forge:
        assert (await put(forge, THREAD, marked("plan")))[0] is Done.CREATED
    assert desk.bodies() == [marked("plan")]


async def test_a_secondary_limit_on_the_creation_itself_makes_no_second_comment(
    kind: str, desk: Desk
) -> None:
    before = {"github": 1, "gitlab": 2}[kind]
    desk.answers = [*[None] * before, slow(403, SECONDARY, retry_after="1")]
    async with at(kind, desk) as forge:
        assert (await put(forge, THREAD, marked("plan")))[0] is Done.CREATED
    assert desk.bodies() == [marked("plan")]


async def test_a_limit_that_lasts_longer_than_our_patience_is_said(kind: str, desk: Desk) -> None:
    desk.answers = [slow(403, SECONDARY, retry_after="3600")]
    error = await refused(kind, desk)
    assert isinstance(error, RateLimitedError)
    assert SECONDARY in error.message
    assert len(desk.asked) == 1


async def test_a_secondary_limit_that_names_no_time_is_left_alone_for_a_minute(
    kind: str, desk: Desk
) -> None:
    desk.answers = [slow(403, SECONDARY)]
    error = await refused(kind, desk)
    assert isinstance(error, RateLimitedError)
    assert error.retry_after_s == 60.0


async def test_a_forge_that_fails_again_and_again_is_said_with_its_words(
    kind: str, desk: Desk
) -> None:
    desk.answers = [PlainTextResponse("<html><title>Unicorn!</title>", 500) for _ in range(5)]
    error = await refused(kind, desk)
    assert isinstance(error, UnavailableError)
    assert "500 Internal Server Error: Unicorn!" in error.message


async def test_an_answer_that_is_no_list_is_an_error(kind: str, desk: Desk) -> None:
    desk.answers = [PlainTextResponse("<html>login</html>")] * 2
    assert "cannot be read" in (await refused(kind, desk)).message


async def test_words_that_bring_the_token_back_are_scrubbed(kind: str, desk: Desk) -> None:
    desk.answers = [slow(403, f"token {TOKEN} may not")]
    assert "token [secret] may not" in (await refused(kind, desk)).message


async def test_a_next_page_elsewhere_gets_neither_request_nor_token(kind: str, desk: Desk) -> None:
    away = {"link": '<https://elsewhere.test/x?page=2>; rel="next"'}
    first = {"github": 0, "gitlab": 1}[kind]
    desk.answers = [*[None] * first, JSONResponse([], headers=away)]
    async with at(kind, desk) as forge:
        await put(forge, THREAD, marked("plan"))
    assert desk.asked[first].replace("POST", "GET") == desk.asked[first + 1]
    assert len(desk.bodies()) == 1
