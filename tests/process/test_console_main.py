"""The console process serves health and metrics, on addresses that a changed file may move."""

from __future__ import annotations

import json
import urllib.request

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
