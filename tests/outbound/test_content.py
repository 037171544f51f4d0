"""Bodies as a server takes them, and files in blocks."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bridgehead.core import eight_bit
from bridgehead.core.reply import Reply
from bridgehead.outbound.content import BLOCK, BodyFile, Conversion, Converted, fit, open_blocks
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


def converted(body: Body) -> Converted | Reply:
    """What comes of a conversion, whatever the number of its steps."""
    conversion = fit(body, EIGHT, NOT_OFFERED)
    assert isinstance(conversion, Conversion)
    while (result := conversion.step()) is None:
        pass
    return result


def test_eight_bit_body_is_converted_from_memory_and_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(MIME)
    for body in (Body(len(MIME), MIME), Body(len(MIME), None, tmp_path / "body")):
        result = converted(body)
        assert isinstance(result, Converted)
        assert b"".join(result.pieces) == eight_bit.to_seven_bit(MIME)
        assert result.size == sum(map(len, result.pieces))


def test_large_body_is_converted_in_many_steps() -> None:
    content = MIME + "caf\u00e9 au lait\r\n".encode() * 60_000
    conversion = fit(Body(len(content), content), EIGHT, NOT_OFFERED)
    assert isinstance(conversion, Conversion)
    steps = 1
    while (result := conversion.step()) is None:
        steps += 1
    assert steps > 5
    assert isinstance(result, Converted)
    assert b"".join(result.pieces) == eight_bit.to_seven_bit(content)


def enhanced(body: Body) -> str:
    result = converted(body)
    assert isinstance(result, Reply)
    return result.enhanced


def test_body_that_cannot_be_converted_says_whether_for_ever(tmp_path: Path) -> None:
    assert enhanced(Body(len(BARE), BARE)) == "5.6.3"
    assert enhanced(Body(eight_bit.SIZE_MAX + 1, None, tmp_path / "huge")) == "5.6.3", "never taken into memory"
    assert enhanced(Body(10, None, tmp_path / "missing")) == "4.3.0"
    assert enhanced(Body(10, None)) == "5.6.3"


@pytest.mark.parametrize("cut", [1, 2, 3, 1000, BLOCK, BLOCK + 1])
def test_blocks_of_pieces_are_their_content_on_the_wire(cut: int) -> None:
    content = b".\r\n" * (BLOCK // 300 if cut < 4 else BLOCK)
    body = Converted(len(content), tuple(content[at : at + cut] for at in range(0, len(content), cut)))
    blocks, sent = open_blocks(body), []
    while blocks.has_more:
        sent.append(blocks.read_block())
        assert len(sent[-1]) <= 2 * BLOCK
    assert b"".join(sent) + blocks.end() == stuff(content)
    blocks.close()


def test_body_that_is_nowhere_cannot_be_opened() -> None:
    with pytest.raises(FileNotFoundError):
        open_blocks(Body(10, None))


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
