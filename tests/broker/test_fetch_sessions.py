"""Fetch sessions: full and incremental requests, what is told again, errors, eviction."""

import pytest

from kafkalike.broker.fetch_sessions import EVICTION_MS, FetchSessions
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import fetch

NOW = 1_000_000


def request(session_id=0, epoch=0, partitions=(), forgotten=()):
    return fetch.Request(
        session_id=session_id,
        session_epoch=epoch,
        topics=[
            fetch.FetchTopic(
                topic="t", partitions=[fetch.FetchPartition(partition=p, fetch_offset=o) for p, o in partitions]
            )
        ],
        forgotten_topics_data=[fetch.ForgottenTopic(topic="t", partitions=list(forgotten))] if forgotten else [],
    )


def results(fetching, high_watermark=5, records=b"", error=0):
    return [
        (
            each,
            fetch.PartitionData(
                partition_index=each.index, high_watermark=high_watermark, records=records, error_code=error
            ),
        )
        for each in fetching.partitions
    ]


def told(fetching, **kwargs):
    return [each.index for each, _ in fetching.answer(results(fetching, **kwargs))]


@pytest.fixture
def sessions():
    return FetchSessions(2, 10)


def opened(sessions, *partitions, now_ms=NOW):
    fetching = sessions.begin(request(partitions=partitions), False, now_ms)
    told(fetching)
    return fetching.session_id


def refused(call):
    with pytest.raises(KafkaError) as refusal:
        call()
    return refusal.value.error


def test_a_full_request_opens_a_session_and_is_answered_in_full(sessions):
    fetching = sessions.begin(request(partitions=[(0, 0), (1, 0)]), False, NOW)
    assert fetching.session_id != 0
    assert told(fetching) == [0, 1]


def test_an_incremental_answer_has_only_what_changed(sessions):
    session = opened(sessions, (0, 0), (1, 0))
    assert told(sessions.begin(request(session, 1), False, NOW)) == []
    assert told(sessions.begin(request(session, 2), False, NOW), high_watermark=6) == [0, 1]
    assert told(sessions.begin(request(session, 3), False, NOW), high_watermark=6) == []
    assert told(sessions.begin(request(session, 4), False, NOW), high_watermark=6, records=b"x") == [0, 1]


def test_after_an_error_the_high_watermark_is_told_again(sessions):
    session = opened(sessions, (0, 0))
    assert told(sessions.begin(request(session, 1), False, NOW), error=3) == [0]
    assert told(sessions.begin(request(session, 2), False, NOW)) == [0]


def test_an_incremental_request_changes_adds_and_forgets_partitions(sessions):
    session = opened(sessions, (0, 0), (1, 0))
    fetching = sessions.begin(request(session, 1, partitions=[(0, 7), (2, 3)], forgotten=[1]), False, NOW)
    assert [(each.index, each.offset) for each in fetching.partitions] == [(0, 7), (2, 3)]


def test_a_partition_that_gave_records_goes_to_the_end(sessions):
    session = opened(sessions, (0, 0), (1, 0))
    fetching = sessions.begin(request(session, 1), False, NOW)
    first, second = results(fetching)
    first[1].records = b"records"
    fetching.answer([first, second])
    assert [each.index for each in sessions.begin(request(session, 2), False, NOW).partitions] == [1, 0]


def test_wrong_ids_epochs_and_kinds_are_refused(sessions):
    session = opened(sessions, (0, 0))
    assert refused(lambda: sessions.begin(request(12345, 1), False, NOW)) == Error.FETCH_SESSION_ID_NOT_FOUND
    assert refused(lambda: sessions.begin(request(session, 2), False, NOW)) == Error.INVALID_FETCH_SESSION_EPOCH
    assert refused(lambda: sessions.begin(request(session, 1), True, NOW)) == Error.FETCH_SESSION_TOPIC_ID_ERROR


def test_the_final_epoch_closes_the_session(sessions):
    session = opened(sessions, (0, 0))
    assert sessions.begin(request(session, -1, partitions=[(0, 0)]), False, NOW).session_id == 0
    assert refused(lambda: sessions.begin(request(session, 1), False, NOW)) == Error.FETCH_SESSION_ID_NOT_FOUND


def test_without_a_free_slot_there_is_no_session_until_one_is_idle(sessions):
    first, second = opened(sessions, (0, 0)), opened(sessions, (0, 0))
    assert 0 not in (first, second)
    assert opened(sessions, (0, 0)) == 0
    sessions.begin(request(second, 1), False, NOW + EVICTION_MS)
    assert opened(sessions, (0, 0), now_ms=NOW + EVICTION_MS + 1) != 0
    assert refused(lambda: sessions.begin(request(first, 1), False, NOW)) == Error.FETCH_SESSION_ID_NOT_FOUND
    assert len(sessions) == 2


def test_a_session_whose_last_partition_is_forgotten_ends(sessions):
    session = opened(sessions, (0, 0))
    assert sessions.begin(request(session, 1, forgotten=[0]), False, NOW).session_id == 0
    assert len(sessions) == 0


def test_a_partition_without_news_is_looked_at_again_when_it_was_woken_or_asked_for_anew(sessions):
    session = opened(sessions, (0, 0), (1, 0), (2, 0))
    fetching = sessions.begin(request(session, 1), False, NOW + 1)
    asked_until = []
    for each in fetching.partitions:
        each.set_aside(asked_until.append)
    fetching = sessions.begin(request(session, 2, partitions=[(1, 4)]), False, NOW + 2)
    assert [each.index for each in fetching.partitions] == [1]
    (second,) = fetching.partitions
    second.set_aside()
    first = fetching.session.partitions["t", 0]
    first.woken(("t", 0))
    assert [each.index for each in sessions.begin(request(session, 3), False, NOW + 3).partitions] == [0]
    assert asked_until == [NOW + 1, NOW + 2]


def test_a_request_that_waits_hears_of_each_wake(sessions):
    class Request:
        def __init__(self):
            self.heard = []

        def partition_woken(self, fetched, key):
            self.heard.append((fetched.index, key))

    fetching = sessions.begin(request(opened(sessions, (0, 0), (1, 0)), 1), False, NOW)
    (first, second), waiting, later = fetching.partitions, Request(), Request()
    fetching.session.waiting = waiting
    second.woken(("t", 1))
    assert waiting.heard == [(1, ("t", 1))]
    fetching.session.waiting = later
    fetching.end(waiting)
    first.woken(("t", 0))
    assert (len(waiting.heard), later.heard) == (1, [(0, ("t", 0))])


class Subscription:
    def __init__(self, ended):
        self.end = lambda: ended.append(self)


def subscribed(fetching, ended):
    for each in fetching.partitions:
        each.subscription = Subscription(ended)


def test_nobody_is_told_for_a_session_that_has_gone_or_partitions_that_were_left(sessions):
    ended = []
    fetching = sessions.begin(request(partitions=[(0, 0), (1, 0)]), False, NOW)
    subscribed(fetching, ended)
    told(fetching)
    sessions.begin(request(fetching.session_id, 1, forgotten=[1]), False, NOW)
    assert len(ended) == 1
    sessions.begin(request(fetching.session_id, -1, partitions=[(0, 0)]), False, NOW)
    assert len(ended) == 2
    alone = sessions.begin(request(0, -1, partitions=[(0, 0)]), False, NOW)
    subscribed(alone, ended)
    alone.end(None)
    assert len(ended) == 3


def test_a_session_that_nobody_uses_is_told_nothing_and_goes_on_all_the_same(sessions):
    ended = []
    fetching = sessions.begin(request(partitions=[(0, 0)]), False, NOW)
    subscribed(fetching, ended)
    for each in fetching.partitions:
        each.set_aside()
    opened(sessions, (0, 0), now_ms=NOW + EVICTION_MS + 1)
    assert len(ended) == 1
    assert [each.index for each in sessions.begin(request(fetching.session_id, 1), False, NOW).partitions] == [0]


def test_who_names_a_partition_again_is_told_the_high_watermark_again(sessions):
    """A follower under a new leader epoch drops the answer that is on its way, and what that told (seed 181021)."""
    opened_id = opened(sessions, (0, 0), (1, 0))
    assert told(sessions.begin(request(opened_id, 1), False, NOW)) == []
    assert told(sessions.begin(request(opened_id, 2, partitions=[(1, 0)]), False, NOW)) == [1]
