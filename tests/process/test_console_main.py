"""The console process serves health and metrics, on addresses that a changed file may move."""

from __future__ import annotations

import json
import socket
import urllib.request

import pytest

from bridgehead.core.error import MachineError
from bridgehead.process.console_main import bind
from tests.peers.bridgehead import smart_host
from tests.peers.child import free_port, wait_until
from tests.peers.conftest import NewBridgehead
from tests.peers.sink import Sink


def get(port: int, path: str) -> str:
    """The body, or empty where nothing answers with 200."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
            text: str = response.read().decode()
            return text
    except OSError:
        return ""


def test_console_serves_health_and_metrics_and_moves_with_a_changed_file(
    new_bridgehead: NewBridgehead, sink: Sink
) -> None:
    server = new_bridgehead()
    first, second = free_port(), free_port()
    server.configure(smart_host(sink.port), console=f"127.0.0.1:{first}")
    server.start()
    wait_until(lambda: get(first, "/healthz/ready") != "", "readiness")
    assert json.loads(get(first, "/healthz/live")) == {"status": "live"}
    assert 'bridgehead_connector_up{connector="Everything"} 1.0' in get(first, "/metrics")
    server.configure(smart_host(sink.port), console=f"127.0.0.1:{second}")
    assert server.reload() == "reload"
    wait_until(lambda: get(second, "/healthz/ready") != "", "readiness on the new address")
    assert get(first, "/healthz/live") == ""
    assert server.terminate() == 0


@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]"])
def test_a_console_whose_port_is_taken_is_told_in_one_sentence(address: str) -> None:
    with bind(f"{address}:0") as taken:
        port = taken.getsockname()[1]
        assert taken.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        with pytest.raises(MachineError) as found:
            bind(f"{address}:{port}")
    assert str(found.value) == (
        f"the console cannot listen on {address}:{port}: Address already in use."
        " Free it, or change `console` or `metrics` in [node]; mail goes on without"
    )


def test_mail_goes_on_without_a_console_and_nobody_needs_a_trace(new_bridgehead: NewBridgehead, sink: Sink) -> None:
    server = new_bridgehead()
    with bind("127.0.0.1:0") as taken:
        server.configure(smart_host(sink.port), console=f"127.0.0.1:{taken.getsockname()[1]}")
        server.start()
        wait_until(lambda: "the console ended with status 1" in server.running.tail(), "the end of the console")
        assert server.terminate() == 0
    log = server.running.tail()
    assert "the console cannot listen on" in log
    assert "Traceback" not in log


def test_an_address_of_another_machine_is_told_in_words() -> None:
    with pytest.raises(MachineError, match=r"on 192\.0\.2\.7:8025: Cannot assign requested address\. Free it"):
        bind("192.0.2.7:8025")
