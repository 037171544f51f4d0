"""What `sendmail` says on `submit.sock`, octet by octet, and what it makes of each way a server can answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import pytest

from bridgehead.core.error import MachineError
from bridgehead.inbound import submission_client as module
from bridgehead.inbound.submission_client import ANSWER_MAX, LENGTH, Answer, Submission, submit

TO = Submission(("b@contoso.com",))
GOOD = Answer(queue_id="0000000000001")


def frame(content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + content


def answer(found: Answer) -> bytes:
    return frame(msgspec.json.encode(found))


Act = Callable[[socket.socket, bytearray], None]


def read_to_the_end(connection: socket.socket, heard: bytearray) -> None:
    """Up to the empty frame that ends the content."""
    while not heard.endswith(LENGTH.pack(0)):
        heard += connection.recv(65_536)


@contextmanager
def server(folder: Path, *acts: Act) -> Iterator[tuple[Path, bytearray]]:
    """A server of one connection that does these acts and hangs up; its socket, and what it heard."""
    path, heard = folder / "submit.sock", bytearray()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.settimeout(10)
                for act in acts:
                    act(connection, heard)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield path, heard
        finally:
            thread.join(10)
            assert not thread.is_alive()


def says(data: bytes) -> Act:
    def act(connection: socket.socket, _: bytearray) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # a client may have heard enough
            connection.sendall(data)

    return act


def waits(event: threading.Event) -> None:
    assert event.wait(10)


# What is said


def test_the_request_the_content_and_an_empty_frame(tmp_path: Path) -> None:
    with server(tmp_path, read_to_the_end, says(answer(GOOD))) as (path, heard):
        assert submit(path, TO, [b"Subject: x\r\n", b"\r\ny\r\n"]) == GOOD
    assert bytes(heard) == (
        frame(b'{"recipients":["b@contoso.com"]}') + frame(b"Subject: x\r\n") + frame(b"\r\ny\r\n") + frame(b"")
    )


def test_the_null_reverse_path_is_told_from_none() -> None:
    assert b"sender" not in msgspec.json.encode(TO)
    assert b'"sender":""' in msgspec.json.encode(Submission(("b@contoso.com",), sender=""))


def test_a_large_piece_goes_in_frames_of_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FRAME_MAX", 4)
    with server(tmp_path, read_to_the_end, says(answer(GOOD))) as (path, heard):
        submit(path, TO, [b"12345678", b"9"])
    assert bytes(heard).endswith(frame(b"1234") + frame(b"5678") + frame(b"9") + frame(b""))


def test_an_empty_piece_does_not_end_the_message(tmp_path: Path) -> None:
    with server(tmp_path, read_to_the_end, says(answer(GOOD))) as (path, heard):
        submit(path, TO, [b"a", b"", b"b"])
    assert bytes(heard).endswith(frame(b"a") + frame(b"b") + frame(b""))


# What is answered


def test_an_answer_that_comes_in_pieces_is_read_whole(tmp_path: Path) -> None:
    octets = answer(Answer(error="x" * 20_000, status=65))
    pieces = [says(octets[start : start + 7_000]) for start in range(0, len(octets), 7_000)]
    with server(tmp_path, read_to_the_end, *pieces) as (path, _):
        assert submit(path, TO, []) == Answer(error="x" * 20_000, status=65)


@pytest.mark.parametrize("octets", [4, 65_536, 1_000_000])
def test_a_refusal_before_all_was_sent_is_the_answer_and_no_fault(octets: int, tmp_path: Path) -> None:
    """The server hangs up behind its answer; how much it had read must not decide between "wrong" and "try again"."""
    refusal = Answer(error="too large", status=65)

    def refuse(connection: socket.socket, heard: bytearray) -> None:
        while len(heard) < octets:
            heard += connection.recv(octets - len(heard))
        connection.sendall(answer(refusal))

    for number in range(20):
        folder = tmp_path / str(number)
        folder.mkdir()
        with server(folder, refuse) as (path, _):
            assert submit(path, TO, [b"x" * 100_000] * 100) == refusal


def test_a_refusal_is_read_behind_a_connection_that_was_reset(tmp_path: Path) -> None:
    """What the server had not read when it hung up must not hide what it said."""
    refusal, gone = Answer(error="too large", status=65), threading.Event()

    def content() -> Iterator[bytes]:
        yield b"never read"
        assert gone.wait(10)
        yield b"x" * 1_000_000

    def refuse(connection: socket.socket, heard: bytearray) -> None:
        heard += connection.recv(1)
        connection.sendall(answer(refusal))
        connection.close()
        gone.set()

    with server(tmp_path, refuse) as (path, _):
        assert submit(path, TO, content()) == refusal


WORDS = [
    (PermissionError(13, "Permission denied"), "this account may not use it. Ask for the right to write"),
    (FileNotFoundError(2, "No such file"), "there is no such socket. Start the server with `bridgehead serve`"),
    (ConnectionRefusedError(111, "Connection refused"), "no server listens there. Start it with `bridgehead serve`"),
    (TimeoutError("timed out"), "the server timed out. Look at its log, and try again"),
    (OSError(24, "Too many open files"), "Too many open files. Look whether"),
    (EOFError("the server hung up"), "the server hung up. Look whether `bridgehead serve` is running"),
    (msgspec.DecodeError("x"), "what answers there is no server of this version. Look whether"),
]


@pytest.mark.parametrize(("error", "words"), WORDS)
def test_what_went_wrong_is_said_in_words_with_what_to_do(error: Exception, words: str) -> None:
    assert module._in_words(error).startswith(words)
    assert "Errno" not in module._in_words(error)


def test_a_socket_that_nobody_listens_on_is_said_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "submit.sock"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    with pytest.raises(MachineError, match="no server listens there"):
        submit(path, TO, [])


BROKEN: dict[str, tuple[Act, ...]] = {
    "hangs up at once": (),
    "hangs up behind the request": (read_to_the_end,),
    "hangs up within the length": (read_to_the_end, says(b"\0\0")),
    "hangs up within the answer": (read_to_the_end, says(answer(GOOD)[:-1])),
    "an answer beyond the bound": (read_to_the_end, says(answer(Answer(error="x" * ANSWER_MAX)))),
    "no JSON": (read_to_the_end, says(frame(b"hello"))),
    "another JSON": (read_to_the_end, says(frame(b'{"status":"fine"}'))),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_server_that_is_none_of_ours_is_a_fault_with_advice(name: str, tmp_path: Path) -> None:
    """Nothing was accepted as far as we know: the caller may try again."""
    with (
        server(tmp_path, *BROKEN[name]) as (path, _),
        pytest.raises(MachineError, match=r"cannot submit through .*submit\.sock: .*bridgehead serve"),
    ):
        submit(path, TO, [b"x" * 100])


def test_a_server_that_does_not_answer_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.05)
    ended = threading.Event()
    with server(tmp_path, read_to_the_end, lambda *_: waits(ended)) as (path, _):
        with pytest.raises(MachineError, match="timed out"):
            submit(path, TO, [])
        ended.set()


def test_without_a_socket_there_is_no_server(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="bridgehead serve"):
        submit(tmp_path / "submit.sock", TO, [])
