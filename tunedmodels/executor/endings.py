"""How errors become last words: the one place for all of them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import TypeVar

from tunedmodels.apply.context import HaltedError
from tunedmodels.errors import RefusedError, StoreError, TunedModelsError
from tunedmodels.events import Failed, Refused, Skipped
from tunedmodels.plan.plan import Action

_log = logging.getLogger(__name__)

T = TypeVar("T")


async def ending_of(
    said: tuple[str, str, Action], work: Awaitable[T]
) -> T | Skipped | Refused | Failed:
    """Return what `work` returns, or the last word on what `said` names.

    Raises StoreError: without a journal nothing more may be sent, for any name.
    """
    try:
        return await work
    except HaltedError as error:
        return Skipped(*said, str(error))
    except RefusedError as error:
        return Refused(*said, error.message, error.cure)
    except StoreError:
        raise
    except TunedModelsError as error:
        return Failed(*said, error.message, error.cure)
    except Exception as error:  # noqa: BLE001  # a fault in one change must not stop the others
        _log.debug("unexpected while %s %s %s", said[2], said[0], said[1], exc_info=error)
        words = f"unexpected {type(error).__name__}: {error}"
        return Failed(*said, words, cure="This is a fault of tunedmodels; please report it.")


def first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error of a group, however deep it lies."""
    error = group.exceptions[0]
    return first(error) if isinstance(error, BaseExceptionGroup) else error
