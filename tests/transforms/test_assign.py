from collections import Counter

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import fn_runner
from apache_beam.testing.util import assert_that, equal_to

from taskreel.transforms.assign import AssignShards, ShardOptions, shard_count, shard_key, shard_of, split_of

IDS = [f"participant{number}" for number in range(10_000)]


def test_splits_and_shards_never_change_between_versions():
    """Golden values: another value would move people from train to test in the middle of a dataset's life."""
    options = ShardOptions(split_percent=(50, 30, 20))
    splits = {name: split_of(name, options) for name in ("alice", "bob", "carol", "dave", "p1", "")}
    assert splits == {
        "alice": "train",
        "bob": "train",
        "carol": "test",
        "dave": "validation",
        "p1": "train",
        "": "validation",
    }
    assert [shard_of(name, 42) for name in ("alice", "bob", "carol", "e1", "")] == [29, 9, 25, 2, 40]


@pytest.mark.parametrize("percent", [(90, 5, 5), (50, 30, 20), (34, 33, 33)])
def test_the_shares_of_splits_are_about_what_was_asked_for(percent):
    counts = Counter(split_of(name, ShardOptions(split_percent=percent)) for name in IDS)
    for split, share in zip(("train", "validation", "test"), percent, strict=True):
        assert counts[split] == pytest.approx(share * 100, abs=150)


@pytest.mark.parametrize(
    ("percent", "split"), [((100, 0, 0), "train"), ((0, 100, 0), "validation"), ((0, 0, 100), "test")]
)
def test_a_split_with_all_or_nothing_gets_all_or_nothing(percent, split):
    assert {split_of(name, ShardOptions(split_percent=percent)) for name in IDS} == {split}


def test_growing_the_train_split_moves_nobody_out_of_it():
    before = {name for name in IDS if split_of(name, ShardOptions(split_percent=(50, 25, 25))) == "train"}
    after = {name for name in IDS if split_of(name, ShardOptions(split_percent=(60, 20, 20))) == "train"}
    assert before < after


@pytest.mark.parametrize("percent", [(90, 5, 4), (90, 5, 6), (110, -5, -5), (100,), (50, 50), (25, 25, 25, 25), ()])
def test_shares_that_are_not_three_and_a_hundred_together_are_refused(percent):
    with pytest.raises(ValueError, match="split_percent"):
        ShardOptions(split_percent=percent)


@pytest.mark.parametrize("percent", [(33.5, 33.5, 33.0), (90.0, 5.0, 5.0)])
def test_shares_that_are_not_whole_are_refused(percent):
    with pytest.raises(ValueError, match="split_percent"):
        ShardOptions(split_percent=percent)


@pytest.mark.parametrize("size", [0, -1])
def test_a_shard_size_that_is_not_positive_is_refused(size):
    with pytest.raises(ValueError, match="target_shard_bytes"):
        ShardOptions(target_shard_bytes=size)


@pytest.mark.parametrize(("listed", "count"), [(0, 1), (1, 1), (100, 1), (101, 2), (200, 2), (1001, 11)])
def test_there_are_as_many_shards_as_the_listed_bytes_fill(listed, count):
    assert shard_count(listed, ShardOptions(target_shard_bytes=100)) == count


def test_episodes_spread_evenly_over_shards():
    counts = Counter(shard_of(name, 10) for name in IDS)
    assert sorted(counts) == list(range(10))
    assert all(count == pytest.approx(1000, abs=150) for count in counts.values())


def test_the_split_and_the_shard_of_one_id_are_independent():
    in_train = [name for name in IDS if split_of(name, ShardOptions(split_percent=(10, 45, 45))) == "train"]
    assert len({shard_of(name, 10) for name in in_train}) == 10


def test_a_pipeline_gives_each_draft_the_key_of_its_shard():
    options = ShardOptions(target_shard_bytes=100, split_percent=(50, 30, 20))
    people = IDS[:30]
    listed = [(person, (f"file{number}", 40)) for person in people for number in range(3)]
    drafts = [(person, f"episode{number}", b"%d" % number) for number, person in enumerate(people)]
    sizes = Counter()
    for person, (_, size) in listed:
        sizes[split_of(person, options)] += size
    expected = []
    for person, episode, data in drafts:
        split = split_of(person, options)
        count = -(-sizes[split] // 100)
        expected.append((f"{split}/{shard_of(episode, count)}/{count}", data))
    with beam.Pipeline(runner=fn_runner.FnApiRunner()) as pipeline:
        inputs = pipeline | "Drafts" >> beam.Create(drafts), pipeline | "Names" >> beam.Create(listed)
        assert_that(inputs | AssignShards(options), equal_to(expected))
    assert len({key for key, _ in expected}) > 10
    assert shard_key("train", 3, 9) == "train/3/9"
