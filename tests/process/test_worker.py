"""What a worker is made of works together: maildir and smart host, sendmail's socket, statistics."""

from __future__ import annotations

import smtplib
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bridgehead.control.control_socket import call
from bridgehead.inbound.submission_client import Submission, submit
from bridgehead.process.supervisor import DRAIN_GRACE_SECONDS
from bridgehead.process.worker import connections_for, sessions_for
from tests.peers.bridgehead import smart_host
from tests.peers.child import free_port, wait_greeting, wait_until
from tests.peers.conftest import NewBridgehead
from tests.peers.sink import Sink

DEFECT = """
import os
from bridgehead.spool.writer import Writer

take = Writer._gather

def take_and_fail(self):
    take(self)
    if self._batch and os.path.exists({flag!r}):
        os.unlink({flag!r})
        raise KeyError("a defect")

Writer._gather = take_and_fail
"""
"""For `sitecustomize`: the writer of a spool breaks with its next batch when the file is there."""

REFUSAL = """
import os
from bridgehead.spool.writer import Writer

write = Writer._write

def write_or_refuse(self, batch):
    if os.path.exists({flag!r}):
        raise OSError(28, "no space left on device")
    write(self, batch)

Writer._write = write_or_refuse
"""
"""For `sitecustomize`: the disk is full while the file is there."""

ACCEPTED_DOMAIN = """
[[accepted_domain]]
domain = "contoso.com"
deliver = "maildir:{folder}/{{domain}}/{{local}}"
"""


def test_worker_splits_a_message_between_a_maildir_and_the_smart_host(
    new_bridgehead: NewBridgehead, sink: Sink, tmp_path: Path
) -> None:
    server = new_bridgehead()
    server.configure(smart_host(sink.port) + ACCEPTED_DOMAIN.format(folder=tmp_path / "mail"))
    server.start()
    with smtplib.SMTP("127.0.0.1", server.port, local_hostname="client.test") as client:
        client.sendmail("amy@contoso.com", ["bob@contoso.com", "eve@fabrikam.com"], "Subject: both\r\n\r\nHi.\r\n")
    inbox = tmp_path / "mail" / "contoso.com" / "bob" / "new"
    wait_until(lambda: inbox.is_dir() and len(list(inbox.iterdir())) == 1, "the message in bob's maildir")
    wait_until(lambda: len(sink.received) == 1, "the message at the smart host")
    assert b"Subject: both\n" in next(inbox.iterdir()).read_bytes()
    assert [line.partition(b">")[0] for line in sink.received[0].recipients] == [b"<eve@fabrikam.com"]
    wait_until(lambda: call(server.state, "statistics")["spooled"] == 0, "an empty spool")


def test_worker_takes_mail_of_local_programs_by_the_submission_socket(
    new_bridgehead: NewBridgehead, sink: Sink
) -> None:
    server = new_bridgehead()
    server.configure(smart_host(sink.port))
    server.start()
    answer = submit(
        server.state / "submit.sock",
        Submission(("eve@fabrikam.com",), sender="cron@contoso.com"),
        [b"Subject: from a program\r\n\r\nHi.\r\n"],
    )
    assert answer.error == ""
    wait_until(lambda: sink.counts(b"Subject") == {b"from a program": 1}, "the message at the smart host")
    assert sink.received[0].header(b"Date")
    assert sink.received[0].header(b"Message-ID")


@pytest.mark.parametrize(
    ("descriptors", "sessions"), [(256, 128), (1024, 512), (2048, 1024), (20_000, 18_976), (1_048_576, 1_047_552)]
)
def test_worker_never_lets_sessions_take_the_descriptors_that_mail_needs(descriptors: int, sessions: int) -> None:
    assert sessions_for(descriptors) == sessions


@pytest.mark.parametrize(
    ("descriptors", "connections"), [(256, 96), (1024, 384), (20_000, 5_000), (1_048_576, 262_144)]
)
def test_worker_never_lets_connections_take_the_descriptors_that_sessions_need(
    descriptors: int, connections: int
) -> None:
    assert connections_for(descriptors) == connections


def test_worker_whose_spool_lost_its_writer_answers_451_and_is_replaced(
    new_bridgehead: NewBridgehead, sink: Sink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flag = tmp_path / "break"
    (tmp_path / "sitecustomize.py").write_text(DEFECT.format(flag=str(flag)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    server = new_bridgehead()
    server.configure(smart_host(sink.port), workers=1)
    server.start()
    before = server.running.process_ids()
    client = smtplib.SMTP("127.0.0.1", server.port, local_hostname="client.test", timeout=10)
    client.sendmail("a@contoso.com", ["b@fabrikam.com"], "Subject: first\r\n\r\nHi.\r\n")
    wait_until(lambda: call(server.state, "statistics")["spooled"] == 0, "an empty spool")
    flag.touch()
    with pytest.raises(smtplib.SMTPDataError) as refusal:
        client.sendmail("a@contoso.com", ["b@fabrikam.com"], "Subject: second\r\n\r\nHi.\r\n")
    client.close()
    assert (refusal.value.smtp_code, refusal.value.smtp_error) == (451, b"4.3.0 A local error, try again later")
    wait_until(lambda: bool(server.events("child-ended")), "the end of the worker")
    told = [event["event"] for event in server.events() if event["level"] in {"critical", "error"}]
    assert [name for name in told if name != "log"] == ["spool-lost", "worker-failed", "child-ended"]
    wait_greeting(server.running, server.port)
    with smtplib.SMTP("127.0.0.1", server.port, local_hostname="client.test", timeout=10) as client:
        client.sendmail("a@contoso.com", ["b@fabrikam.com"], "Subject: third\r\n\r\nHi.\r\n")
    wait_until(lambda: len(sink.received) >= 2, "the message at the smart host")
    assert sink.counts(b"Subject") == {b"first": 1, b"third": 1}
    assert server.running.process_ids()[0] == before[0]
    assert server.terminate() == 0


def test_worker_ends_in_time_while_a_request_waits_for_a_disk_that_is_full(
    new_bridgehead: NewBridgehead, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flag = tmp_path / "full"
    (tmp_path / "sitecustomize.py").write_text(REFUSAL.format(flag=str(flag)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    server = new_bridgehead()
    server.configure(smart_host(free_port()), workers=1)
    server.start()
    with smtplib.SMTP("127.0.0.1", server.port, local_hostname="client.test", timeout=10) as client:
        client.sendmail("a@contoso.com", ["b@fabrikam.com"], "Subject: waits\r\n\r\nHi.\r\n")
    flag.touch()
    with ThreadPoolExecutor(1) as threads:
        hold = threads.submit(call, server.state, "queue.hold")
        wait_until(lambda: call(server.state, "statistics")["spool_faults"] > 0, "a refusal of the disk")
        began = time.monotonic()
        assert server.terminate() == 0
        assert time.monotonic() - began < DRAIN_GRACE_SECONDS
        assert hold.exception() is not None
