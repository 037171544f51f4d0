"""Bodies as a server takes them, and files in blocks."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bridgehead.core import eight_bit
from bridgehead.core.reply import Reply
from bridgehead.outbound.content import BLOCK, BodyFile, fit
from bridgehead.smtp.client_content import stuff
from bridgehead.smtp.client_extensions import Extensions
from bridgehead.spool.contract import Body
from tests.outbound.channel_contract import transaction

MIME = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\né\r\n".encode()
BARE = "Subject: é\r\n\r\nx\r\n".encode()
SEVEN = transaction(1).envelope
EIGHT = msgspec.structs.replace(SEVEN, has_eight_bit=True)
OFFERED, NOT_OFFERED = Extensions(eight_bit_mime=True), Extensions()


def test_body_goes_as_it_is_where_it_may() -> None:
    body = Body(len(MIME), MIME)
    assert fit(body, EIGHT, OFFERED) is body
    assert fit(body, SEVEN, NOT_OFFERED) is body


def test_smtputf8_message_is_left_to_be_refused_for_that() -> None:
    body = Body(len(BARE), BARE)
    assert fit(body, msgspec.structs.replace(EIGHT, smtputf8=True), NOT_OFFERED) is body


def test_eight_bit_body_is_converted_from_memory_and_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(MIME)
    for body in (Body(len(MIME), MIME), Body(len(MIME), None, tmp_path / "body")):
        fitted = fit(body, EIGHT, NOT_OFFERED)
        assert isinstance(fitted, Body)
        assert fitted.content is not None
        assert fitted.content.isascii()
        assert fitted.size == len(fitted.content)


def enhanced(body: Body) -> str:
    fitted = fit(body, EIGHT, NOT_OFFERED)
    assert isinstance(fitted, Reply)
    return fitted.enhanced


def test_body_that_cannot_be_converted_says_whether_for_ever(tmp_path: Path) -> None:
    assert enhanced(Body(len(BARE), BARE)) == "5.6.3"
    assert enhanced(Body(eight_bit.SIZE_MAX + 1, None, tmp_path / "huge")) == "5.6.3", "never taken into memory"
    assert enhanced(Body(10, None, tmp_path / "missing")) == "4.3.0"


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
def test_blocks_of_a_file_are_its_content_on_the_wire(tmp_path: Path, size: int) -> None:
    content = (b".\r\n" * (size // 3 + 1))[:size]
    (tmp_path / "body").write_bytes(content)
    file = BodyFile(tmp_path / "body", size)
    blocks = []
    while file.has_more:
        blocks.append(file.read_block())
        assert len(blocks[-1]) <= 2 * BLOCK
    file.close()
    assert b"".join(blocks) + file.end() == stuff(content)


def test_file_shorter_than_its_message_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"half\r\n")
    file = BodyFile(tmp_path / "body", 1000)
    file.read_block()
    with pytest.raises(EOFError):
        file.read_block()
    file.close()
