"""Which days an incremental run lists."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskreel.io.times import us_from_iso
from taskreel.transforms.discover_new import Days, day_of

FOLDERS = [f"segments/v1/day=2026-01-{day:02}/" for day in range(1, 21)]
FROM_MS = us_from_iso("2026-01-15T13:00:00Z") // 1000


@pytest.mark.parametrize(
    ("folder", "day"),
    [
        ("segments/v1/day=2026-01-05/", "2026-01-05"),
        ("segments/v1/day=2026-13-05/", None),
        ("segments/v1/day=20260105/", None),
        ("segments/v1/day=0001-01-01/", None),
        ("segments/v1/notes/", None),
    ],
)
def test_the_day_of_a_folder_is_one_that_a_segment_can_have(folder, day):
    assert day_of(folder) == day


def test_without_a_first_time_everything_is_listed():
    assert Days().of(FOLDERS) == FOLDERS


def test_days_from_the_first_time_on_are_listed_and_what_is_no_day():
    assert Days(FROM_MS).of([*FOLDERS, "segments/v1/notes/"]) == [*FOLDERS[14:], "segments/v1/notes/"]


@given(st.integers(0, 30), st.integers(0, 1 << 50))
def test_some_older_days_are_listed_the_same_for_the_same_time(rescan, as_of_us):
    listed = Days(FROM_MS, rescan, as_of_us).of(FOLDERS)
    assert listed == Days(FROM_MS, rescan, as_of_us).of(FOLDERS) == sorted(listed)
    assert set(FOLDERS[14:]) <= set(listed)
    assert len(listed) == min(6 + rescan, len(FOLDERS))


def test_in_turn_every_older_day_is_listed():
    seen = {folder for as_of_us in range(200) for folder in Days(FROM_MS, 1, as_of_us).of(FOLDERS)}
    assert seen == set(FOLDERS)
