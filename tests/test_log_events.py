"""The story of a log told from few events, against the one that looks at every event."""

from __future__ import annotations

from types import SimpleNamespace
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from forensics.log_events import Events
from forensics.logstory import tell
from formats.base import Record, Span

LINES = st.one_of(
    st.tuples(st.just("reconcile"), st.fixed_dictionaries({"cluster": st.booleans()})),
    st.tuples(st.just("bulk-refresh"), st.just({})),
    st.tuples(st.just("map-update-begin"), st.fixed_dictionaries({"map_name": st.sampled_from(["ingress_map", "egress_map"])})),
    st.tuples(st.just("map-write"), st.fixed_dictionaries({"map_id": st.integers(1, 3)})),
    st.tuples(st.just("rule-cidr"), st.fixed_dictionaries({"cidr": st.sampled_from(["10.0.0.1/32", "10.0.0.2/32"])})),
    st.tuples(
        st.just("policies-for-identifier"),
        st.fixed_dictionaries({"pod_identifier": st.sampled_from(["a", "b"]), "count": st.integers(0, 2)}),
    ),
    st.tuples(st.just("default-deny"), st.fixed_dictionaries({"direction": st.sampled_from(["ingress", "egress"])})),
    st.tuples(st.sampled_from(["kernel-update-failed", "kernel-delete-failed", "error", "agent-start"]), st.just({})),
)  # fmt: skip


def story_of(lines: list[tuple[str, dict]]) -> list:
    records = [
        Record("log_event", {"log": "agent", "event": name, "utc_ns": at, **fields}, Span(at * 10, at * 10 + 9, at + 1, at + 1))
        for at, (name, fields) in enumerate(lines)
    ]  # fmt: skip
    story = tell([SimpleNamespace(records=records, events=[])])
    writes = [
        (write.row, write.map_id, write.cidrs, write.failed, write.failed_deletes, place(write.write), place(write.result))
        for write in (*story.writes, *story.torn)
    ]  # fmt: skip
    evaluations = {
        name: [(each.row, each.policies, each.rules, sorted(each.denied), sorted(each.opened)) for each in found]
        for name, found in story.evaluations.items()
    }
    return [writes, len(story.torn), evaluations, story.starts, story.cluster_policies]


def place(event) -> int | None:
    return None if event is None else event.record.span.first_line


@given(st.lists(LINES, max_size=40))
def test_events_that_are_passed_over_change_nothing(lines: list[tuple[str, dict]]) -> None:
    every = Events.told
    with mock.patch.object(Events, "told", lambda self, names, once=(): every(self, names)):
        wanted = story_of(lines)

    assert story_of(lines) == wanted
    assert wanted[-1] == any(fields.get("cluster") for _, fields in lines)


def test_of_events_in_a_row_the_first_of_each_slug_is_told() -> None:
    names = ["b", "a", "a", "b", "c", "a", "b", "b"]
    records = [
        Record("log_event", {"log": "agent", "event": name, "utc_ns": at}, Span(at, at, at, at))
        for at, name in enumerate(names)
    ]
    events = Events([SimpleNamespace(records=records, events=[])])

    assert [row for row, *_ in events.told(("a", "b", "c"), once=("a", "b"))] == [0, 1, 4, 5, 6]
    assert [row for row, *_ in events.told(("a", "b", "c"))] == list(range(8))
    assert [fields["utc_ns"] for fields in events.said("c")] == [4]
