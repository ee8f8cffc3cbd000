"""Spans by brute force, and names to try them with."""

from hypothesis import strategies as st

from taskreel.io.names import SegmentName


def name_of(first_ms, last_ms, recording="r", participant="p"):
    return SegmentName(participant, recording, first_ms, last_ms, first_ms, last_ms, "0" * 12)


@st.composite
def names_in(draw, max_ms=300, max_count=14, longest_ms=60):
    times = st.tuples(st.integers(0, max_ms), st.integers(0, longest_ms), st.sampled_from("abc"))
    return [name_of(first, first + length, rec) for first, length, rec in draw(st.lists(times, max_size=max_count))]


def components_by_pairs(names, gap_ms):
    """Connected components: each name joins all groups that have a name which it touches; sets of names."""
    groups = []
    for name in set(names):
        touched = [group for group in groups if any(touch(name, other, gap_ms) for other in group)]
        groups = [group for group in groups if group not in touched] + [{name}.union(*touched)]
    return groups


def touch(a, b, gap_ms):
    return a.first_ms <= b.last_ms + gap_ms and b.first_ms <= a.last_ms + gap_ms


def pieces_by_pairs(names, gap_ms, longest_ms):
    alone = [name for name in names if longest_ms is not None and name.last_ms - name.first_ms > longest_ms]
    pieces = [frozenset([name]) for name in alone]
    for group in components_by_pairs([name for name in names if name not in alone], gap_ms):
        length = max(n.last_ms for n in group) - min(n.first_ms for n in group)
        if longest_ms is None or length <= longest_ms:
            pieces.append(frozenset(group))
        else:
            cells = {name.first_ms // longest_ms for name in group}
            pieces += [frozenset(n for n in group if n.first_ms // longest_ms == cell) for cell in cells]
    return set(pieces)


def as_sets(found):
    assert all(len(set(span.segments)) == len(span.segments) for span in found)
    return [frozenset(span.segments) for span in found]
