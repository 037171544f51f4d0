"""Operations on waiting mail over the control socket, against a whole server whose next hop is down."""

from __future__ import annotations

import smtplib

import pytest

from bridgehead.control.control_socket import ControlError, call
from bridgehead.core import queue_id
from bridgehead.core.error import ConfigurationError
from bridgehead.outbound.listing import Selection
from bridgehead.process.worker_requests import Chosen
from tests.peers.bridgehead import Bridgehead, smart_host
from tests.peers.child import free_port, wait_until
from tests.peers.conftest import NewBridgehead

SELECTIONS: list[tuple[Chosen, Selection]] = [
    (Chosen(), Selection()),
    (Chosen(ids=("0000000000001",)), Selection(frozenset({queue_id.earliest_at(0) + 1}))),  # type: ignore[arg-type]
    (Chosen(domain="Fabrikam.COM."), Selection(domain="fabrikam.com")),
    (Chosen(connector="", sender=""), Selection(connector="", sender="")),
]


@pytest.mark.parametrize(("chosen", "selection"), SELECTIONS)
def test_worker_requests_understand_a_selection(chosen: Chosen, selection: Selection) -> None:
    assert chosen.selection() == selection


@pytest.mark.parametrize(
    ("chosen", "words"),
    [(Chosen(ids=("x",)), "'x' is not a queue id"), (Chosen(domain="a..b"), "'a..b' is not a domain")],
)
def test_worker_requests_refuse_what_selects_nothing(chosen: Chosen, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        chosen.selection()


@pytest.fixture
def server(new_bridgehead: NewBridgehead) -> Bridgehead:
    made: Bridgehead = new_bridgehead()
    made.configure(smart_host(free_port()))
    made.start()
    return made


def test_worker_requests_operate_on_the_mail_of_all_workers(server: Bridgehead) -> None:
    for number in range(6):
        with smtplib.SMTP("127.0.0.1", server.port, local_hostname="client.test") as client:
            client.sendmail("amy@contoso.com", [f"bob{number}@fabrikam.com"], "Subject: x\r\n\r\nx\r\n")
    rows = call(server.state, "queue.list")
    assert {row["recipients"][0]["address"] for row in rows} == {f"bob{number}@fabrikam.com" for number in range(6)}
    wait_until(
        lambda: (
            call(server.state, "statistics")["spooled"] == 6
            and all(row["state"] != "active" for row in call(server.state, "queue.list"))
        ),
        "six messages at rest",
    )
    assert call(server.state, "queue.hold", dry_run=True)["messages"] == 6
    assert call(server.state, "queue.hold")["messages"] == 6
    assert {row["state"] for row in call(server.state, "queue.list")} == {"frozen"}
    assert call(server.state, "queue.show", ids=[rows[0]["queue_id"]])[0]["queue_id"] == rows[0]["queue_id"]
    assert call(server.state, "queue.delete", ids=[rows[0]["queue_id"]])["messages"] == 1
    assert call(server.state, "queue.delete", domain="fabrikam.com")["messages"] == 5
    assert call(server.state, "queue.list") == []
    statistics = call(server.state, "statistics")
    assert (statistics["received"], statistics["spooled"]) == (6, 0)


def test_worker_requests_answer_an_error_for_a_wrong_selection(server: Bridgehead) -> None:
    with pytest.raises(ControlError, match="is not a domain"):
        call(server.state, "queue.list", domain="a..b")
