"""How failures to connect become suspect, down, and up again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.liveness import Liveness
from bridgehead.core.organization import Delivery

MINUTELY = Delivery(glitch_retries=3, glitch_retry_seconds=60)


def failed(*instants: float, connector: str = "ISP", liveness: Liveness | None = None) -> Liveness:
    """After rounds that failed at these instants."""
    liveness = liveness or Liveness()
    for instant in instants:
        liveness = liveness.after_failure(connector, instant, MINUTELY)
    return liveness


def word(liveness: Liveness, connector: str = "ISP") -> str:
    """`"up"`, `"suspect"` or `"down"`."""
    if connector in liveness.state.down:
        return "down"
    return "suspect" if connector in liveness.state.suspect else "up"


def test_nothing_is_down_at_the_start() -> None:
    assert word(Liveness()) == "up"


def test_the_first_failed_round_makes_a_connector_suspect_and_the_fourth_down() -> None:
    words = [word(failed(*[60.0 * number for number in range(count)])) for count in range(6)]
    assert words == ["up", "suspect", "suspect", "suspect", "down", "down"]


def test_a_connector_that_is_suspect_or_down_is_not_up_for_routing() -> None:
    assert not failed(0).state.is_up("ISP")
    assert not failed(0, 60, 120, 180).state.is_up("ISP")
    assert failed(0).state.is_up("Other")


def test_down_since_is_the_moment_of_the_round_that_made_it_down() -> None:
    assert failed(0, 60, 120, 180, 240).state.down == {"ISP": 180}


def test_the_next_good_greeting_makes_it_up() -> None:
    for rounds in ((0,), (0, 60), (0, 60, 120, 180)):
        liveness = failed(*rounds).after_success("ISP")
        assert word(liveness) == "up"
        assert not liveness.rounds


def test_rounds_count_only_in_a_row() -> None:
    liveness = failed(0, 60, 120).after_success("ISP")
    assert word(failed(180, 240, 300, liveness=liveness)) == "suspect"


def test_connections_that_fail_together_are_one_round() -> None:
    assert word(failed(*[0.1 * number for number in range(100)])) == "suspect"


def test_many_workers_do_not_make_it_down_sooner() -> None:
    """Eight workers, each with a round a minute, a few seconds apart: down at the fourth minute as with one."""
    instants = sorted(minute * 60.0 + worker * 3 for minute in range(3) for worker in range(8))
    assert word(failed(*instants)) == "suspect"
    assert word(failed(*instants, 180.0)) == "down"


def test_without_glitch_retries_the_first_round_makes_it_down() -> None:
    liveness = Liveness().after_failure("ISP", 5, Delivery(glitch_retries=0, glitch_retry_seconds=0))
    assert liveness.state.down == {"ISP": 5}


def test_connectors_do_not_touch_each_other() -> None:
    liveness = failed(0, 60, 120, 180, liveness=failed(0, connector="Partner"))
    assert (word(liveness), word(liveness, "Partner")) == ("down", "suspect")
    assert word(liveness.after_success("ISP"), "Partner") == "suspect"


def test_a_connector_that_left_the_configuration_is_forgotten() -> None:
    liveness = failed(0, 60, 120, 180, liveness=failed(0, connector="Partner"))
    assert liveness.restricted_to({"Partner"}).state.down == {}
    assert word(liveness.restricted_to({"Partner"}), "Partner") == "suspect"


def test_what_changes_nothing_gives_the_same_version() -> None:
    """A version is a reason to route all waiting mail anew, so it grows with real changes only."""
    assert Liveness().after_success("ISP").state.version == 0
    versions = [failed(*[60.0 * number for number in range(count)]).state.version for count in range(7)]
    assert versions == [0, 1, 1, 1, 2, 2, 2]
    assert Liveness().restricted_to(()).state.version == 0


events = st.lists(st.tuples(st.sampled_from(["A", "B"]), st.booleans(), st.floats(0, 200)), max_size=60)


@given(events)
def test_the_state_follows_from_the_rounds_since_the_last_good_greeting(
    history: list[tuple[str, bool, float]],
) -> None:
    liveness, now = Liveness(), 0.0
    for connector, good, pause in history:
        now += pause
        before = liveness
        liveness = liveness.after_success(connector) if good else liveness.after_failure(connector, now, MINUTELY)
        assert (liveness.state.version > before.state.version) == (word_of_all(liveness) != word_of_all(before))
        for name in ("A", "B"):
            count = liveness.rounds[name].count if name in liveness.rounds else 0
            assert word(liveness, name) == ("up" if not count else "suspect" if count <= 3 else "down")


def word_of_all(liveness: Liveness) -> tuple[str, str]:
    """The words of both connectors."""
    return word(liveness, "A"), word(liveness, "B")


def test_a_clock_that_was_set_back_hides_no_failure() -> None:
    liveness = Liveness()
    delivery = Delivery(glitch_retries=1, glitch_retry_seconds=60.0)
    liveness = liveness.after_failure("A", 50_000.0, delivery).after_failure("A", 32_000.0, delivery)
    assert "A" in liveness.state.down
