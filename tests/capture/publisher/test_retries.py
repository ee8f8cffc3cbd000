"""When a request is tried again: pauses, what the server asks for, when it is given up, how it is stopped."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import requests
from google.api_core.exceptions import Forbidden, ServiceUnavailable, TooManyRequests
from google.auth.exceptions import RefreshError, TransportError
from hypothesis import given
from hypothesis import strategies as st

from taskreel.capture.publisher.retries import RetryOptions, StoppedError, requests_repeated, uploads_repeated
from taskreel.io.gcs_uploads import is_transient, retry_after_s
from taskreel.io.uploads import UnconfirmedError


class Stopped(threading.Event):
    """Does not wait; remembers for how long it should have, and is set at the pause with a number."""

    def __init__(self, at: int | None = None) -> None:
        super().__init__()
        self.pauses_s: list[float] = []
        self.at = at

    def wait(self, timeout: float | None = None) -> bool:
        self.pauses_s.append(timeout or 0.0)
        return len(self.pauses_s) == self.at


def failing(*errors: Exception) -> Any:
    rest = list(errors)

    def request() -> str:
        if rest:
            raise rest.pop(0)
        return "answer"

    return request


def busy(kind: Any = ServiceUnavailable, retry_after: str = "") -> Exception:
    response = requests.Response()
    response.headers["Retry-After"] = retry_after
    return kind("busy", response=response)  # type: ignore[no-any-return]


@given(
    st.floats(0.01, 10),
    st.floats(10, 1000),
    st.integers(1, 5000),
    st.one_of(st.just(0.0), st.floats(0.1, 10_000)),
)
def test_a_pause_grows_to_its_limit_and_is_never_less_than_asked(
    first_s: float, longest_s: float, tries: int, asked_s: float
) -> None:
    pause_s = RetryOptions(first_s, longest_s).pause_s(tries, asked_s)
    grown_s = min(first_s * 2.0 ** min(tries - 1, 100), longest_s)
    assert max(grown_s / 2, asked_s) <= pause_s <= max(grown_s, asked_s + first_s if asked_s else 0)


def test_pauses_differ_so_that_many_clients_do_not_come_back_at_once() -> None:
    options = RetryOptions()
    assert len({options.pause_s(3) for _ in range(20)}) > 10
    assert len({options.pause_s(1, 30.0) for _ in range(20)}) > 10


@pytest.mark.parametrize("values", [{"first_s": 0}, {"first_s": 9, "longest_s": 5}, {"give_up_s": -1}, {"uploads": 0}])
def test_options_that_make_no_sense_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="pauses"):
        RetryOptions(**values)


def test_a_request_is_repeated_until_it_goes_well() -> None:
    stopped = Stopped()
    request = failing(busy(), requests.ConnectionError(), requests.Timeout(), TransportError("no network"))
    assert requests_repeated(RetryOptions(), stopped)(request)() == "answer"
    assert [0.5 <= stopped.pauses_s[0] <= 1, 1 <= stopped.pauses_s[1] <= 2, 4 <= stopped.pauses_s[3] <= 8] == [True] * 3


@pytest.mark.parametrize("kind", [ServiceUnavailable, TooManyRequests])
def test_what_the_server_asks_for_is_kept(kind: Any) -> None:
    stopped, said = Stopped(), []
    request = failing(busy(kind, "42"), busy(kind))
    assert requests_repeated(RetryOptions(), stopped, said.append)(request)() == "answer"
    assert 42 <= stopped.pauses_s[0] <= 43
    assert stopped.pauses_s[1] <= 2
    assert said == stopped.pauses_s


def test_a_server_that_asks_for_too_long_is_given_up_at_once() -> None:
    stopped = Stopped()
    with pytest.raises(ServiceUnavailable):
        requests_repeated(RetryOptions(give_up_s=60), stopped)(failing(busy(retry_after="3600")))()
    assert stopped.pauses_s == []


@pytest.mark.parametrize("error", [Forbidden("no"), RefreshError("revoked"), ValueError("a bug"), StoppedError()])
def test_what_no_repetition_mends_is_raised_at_once(error: Exception) -> None:
    stopped = Stopped()
    with pytest.raises(type(error)):
        requests_repeated(RetryOptions(), stopped)(failing(error))()
    assert stopped.pauses_s == []
    assert not is_transient(error)


def test_a_pause_ends_when_the_publisher_is_stopped() -> None:
    with pytest.raises(StoppedError):
        requests_repeated(RetryOptions(), Stopped(at=2))(failing(*[busy()] * 9))()


def test_an_upload_that_is_not_confirmed_is_sent_so_often_and_no_more() -> None:
    again = uploads_repeated(RetryOptions(uploads=3), Stopped())
    assert again(failing(*[UnconfirmedError("x")] * 2))() == "answer"
    with pytest.raises(UnconfirmedError):
        again(failing(*[UnconfirmedError("x")] * 3))()
    with pytest.raises(ServiceUnavailable):
        again(failing(busy()))()


@pytest.mark.parametrize(
    ("text", "expected_s"), [("7", 7), (" 120 ", 120), ("", 0), ("soon", 0), ("-3", 0), ("1.5", 0), ("٣", 0)]
)
def test_seconds_are_read(text: str, expected_s: float) -> None:
    assert retry_after_s(busy(retry_after=text)) == expected_s


@pytest.mark.parametrize(("in_s", "least_s", "most_s"), [(90, 88, 90), (-90, 0, 0)])
def test_a_date_is_read(in_s: int, least_s: float, most_s: float) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=in_s), usegmt=True)
    assert least_s <= retry_after_s(busy(retry_after=date)) <= most_s


def test_an_error_without_an_answer_asks_for_nothing() -> None:
    assert retry_after_s(requests.ConnectionError()) == 0
    assert retry_after_s(ServiceUnavailable("busy")) == 0
