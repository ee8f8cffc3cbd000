import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskreel.io.consent import ConsentError, ConsentRecord, Refusal, consent_path, refusal
from taskreel.io.times import iso_from_us, us_from_iso

RECORD = ConsentRecord(
    consent_id="c1",
    participant="p1",
    version=3,
    regions=("EU", "US"),
    valid_from_us=1000,
    valid_until_us=9000,
    withdrawn_at_us=None,
)
SEGMENT = {
    "consent_id": "c1",
    "consent_version": 3,
    "participant": "p1",
    "region": "EU",
    "first_us": 1000,
    "last_us": 8000,
    "as_of_us": 8500,
}
times_us = st.integers(-(10**15), 250_000_000_000_000_000)


def code_of(record=RECORD, **segment):
    why = refusal(record, **(SEGMENT | segment))
    if why is None:
        return None
    assert why.message
    return why.code


def test_events_that_the_record_covers_are_not_refused():
    assert code_of() is None


@pytest.mark.parametrize(
    ("record", "segment", "code"),
    [
        ({}, {"consent_id": "c2"}, "consent_mismatch"),
        ({}, {"participant": "p2"}, "consent_mismatch"),
        ({}, {"consent_version": 4}, "consent_version"),
        ({}, {"consent_version": 2}, None),
        ({"withdrawn_at_us": 8500}, {}, "consent_withdrawn"),
        ({"withdrawn_at_us": 8501}, {}, None),
        ({}, {"as_of_us": 9000}, "consent_expired"),
        ({}, {"as_of_us": 8999}, None),
        ({}, {"first_us": 999}, "consent_period"),
        ({}, {"last_us": 9000}, "consent_period"),
        ({}, {"last_us": 8999}, None),
        ({"valid_until_us": None}, {"last_us": 10**15, "as_of_us": 10**16}, None),
        ({}, {"region": "CN"}, "region"),
        ({}, {"region": ""}, "region"),
        ({"regions": ()}, {}, "region"),
    ],
)
def test_each_reason_to_refuse_and_its_edge(record, segment, code):
    assert code_of(replace(RECORD, **record), **segment) == code


def test_a_record_made_with_nothing_but_its_ids_allows_nothing():
    assert code_of(ConsentRecord("c1", "p1"), consent_version=1) == "region"


def test_refusals_are_alike_if_their_codes_are():
    assert Refusal("region", "one") == Refusal("region", "other") != Refusal("consent_version", "one")


@given(
    st.builds(
        ConsentRecord,
        st.text(),
        st.text(),
        st.integers(1, 99),
        st.lists(st.text(), max_size=3).map(tuple),
        st.lists(st.text(), max_size=3).map(tuple),
        times_us,
        st.none() | times_us,
        st.none() | times_us,
        st.text(),
    )
)
@settings(max_examples=150, deadline=None)
def test_a_record_survives_its_json(record):
    assert ConsentRecord.from_json(record.to_json()) == record


@pytest.mark.parametrize("field", ["consent_id", "participant", "version", "valid_from"])
def test_a_record_that_lacks_a_field_names_it(field):
    values = json.loads(RECORD.to_json())
    del values[field]
    with pytest.raises(ConsentError, match=field):
        ConsentRecord.from_json(json.dumps(values).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"version": "three"},
        {"version": None},
        {"version": float("inf")},
        {"regions": 5},
        {"regions": None},
        {"regions": "EU"},
        {"purposes": "coding"},
        {"regions": [5]},
        {"consent_id": None},
        {"participant": 7},
        {"valid_from": None},
        {"valid_from": "yesterday"},
        {"valid_from": 5},
        {"valid_until": "2026-13-01"},
        {"withdrawn_at": "soon"},
        {"withdrawn_at": False},
    ],
    ids=str,
)
def test_a_record_with_a_field_of_the_wrong_kind_cannot_be_read(change):
    with pytest.raises(ConsentError):
        ConsentRecord.from_json(json.dumps(json.loads(RECORD.to_json()) | change).encode())


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"5", b'"x"', b"\xff", b"{}", b"[" * 100_000])
def test_what_is_no_json_object_cannot_be_read(data):
    with pytest.raises(ConsentError):
        ConsentRecord.from_json(data)


def test_a_record_lies_under_its_id():
    assert RECORD.path == consent_path("c1") == "consent/v1/c1.json"


@given(times_us)
@settings(max_examples=100, deadline=None)
def test_a_time_survives_its_text(time_us):
    assert us_from_iso(iso_from_us(time_us)) == time_us


@pytest.mark.parametrize("text", ["1970-01-01T00:00:01", "1970-01-01T02:00:01+02:00", "1969-12-31T23:00:01-01:00"])
def test_a_time_without_an_offset_is_utc(text):
    assert us_from_iso(text) == 1_000_000
