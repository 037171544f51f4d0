"""RFC 6152 conversion: no octet above 127 is left, and every part decodes to what it decoded to before."""

from __future__ import annotations

import base64
import email
import email.policy
import os
import quopri
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core import eight_bit
from bridgehead.core.eight_bit import DEPTH_MAX, PIECES_MAX, SIZE_MAX, STEP, UnconvertibleError, pieces, to_seven_bit

CORPUS = Path(os.environ.get("BRIDGEHEAD_CORPUS", Path(__file__).parents[3] / "shared" / "corpus")) / "mail" / "open"


def wire(text: str) -> bytes:
    """A message as it is on the wire, from lines that end with LF; characters are octets."""
    return text.replace("\n", "\r\n").encode("latin-1")


def leaves(content: bytes) -> list[tuple[str, object]]:
    """Type and decoded content of each part, as the standard library reads them."""
    whole = email.message_from_bytes(content, policy=email.policy.compat32)
    return [
        (part.get_content_type(), part.get_payload(decode=True)) for part in whole.walk() if not part.is_multipart()
    ]


CONVERSIONS = [
    pytest.param(
        "Subject: x\nMIME-Version: 1.0\nContent-Type: text/plain; charset=iso-8859-1\n"
        "Content-Transfer-Encoding: 8bit\nX-Last: 1\n\ncaf\xe9 = \n.\n",
        "Subject: x\nMIME-Version: 1.0\nContent-Type: text/plain; charset=iso-8859-1\n"
        "Content-Transfer-Encoding: quoted-printable\nX-Last: 1\n\ncaf=E9 =3D=20\n=2E\n",
        id="text becomes quoted-printable",
    ),
    pytest.param(
        "MIME-Version: 1.0\nContent-Type: image/png\nContent-Transfer-Encoding:\n binary\n\n\x89PNG\n",
        "MIME-Version: 1.0\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\niVBORw0K\n",
        id="the rest becomes base64",
    ),
    pytest.param(
        "Subject: x\n\ncaf\xe9\n",
        "Subject: x\nMIME-Version: 1.0\nContent-Type: text/plain; charset=unknown-8bit\n"
        "Content-Transfer-Encoding: quoted-printable\n\ncaf=E9\n",
        id="unlabelled text is said to be of unknown character set",
    ),
    pytest.param(
        'MIME-Version: 1.0\nContent-Type: multipart/mixed; charset=";"; boundary="b 1"\n'
        "Content-Transfer-Encoding: 8bit\n\npre\xe9\n--b 1\n\ncaf\xe9\n--b 1 \nContent-Type: text/plain\n"
        "Content-Transfer-Encoding: 8bit\n\nplain\n--b 1--\nepi\xe9\n",
        'MIME-Version: 1.0\nContent-Type: multipart/mixed; charset=";"; boundary="b 1"\n'
        "Content-Transfer-Encoding: 7bit\n\npre?\n--b 1\nContent-Transfer-Encoding: quoted-printable\n\ncaf=E9\n"
        "--b 1 \nContent-Type: text/plain\nContent-Transfer-Encoding: 8bit\n\nplain\n--b 1--\nepi?\n",
        id="only parts that need it are touched",
    ),
    pytest.param(
        "MIME-Version: 1.0\nContent-Type: multipart/digest; boundary=b\n\n--b\n\nMIME-Version: 1.0\n"
        "Content-Type: text/html\n\n\xe9\n--b--\n",
        "MIME-Version: 1.0\nContent-Type: multipart/digest; boundary=b\nContent-Transfer-Encoding: 7bit\n\n--b\n"
        "Content-Transfer-Encoding: 7bit\n\nMIME-Version: 1.0\nContent-Type: text/html\n"
        "Content-Transfer-Encoding: quoted-printable\n\n=E9\n--b--\n",
        id="messages inside, the default of a digest",
    ),
    pytest.param(
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/alternative;\n"
        "\tboundary=b2\n\n--b2\n\n\xe9\n--b\n--b\n\n\xe8",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: 7bit\n\n--b\n"
        "Content-Type: multipart/alternative;\n\tboundary=b2\nContent-Transfer-Encoding: 7bit\n\n--b2\n"
        "Content-Transfer-Encoding: quoted-printable\n\n=E9\n--b\n--b\n"
        "Content-Transfer-Encoding: quoted-printable\n\n=E8",
        id="boundaries that are missing, parts that are empty",
    ),
]


@pytest.mark.parametrize(("message", "converted"), CONVERSIONS)
def test_conversion_changes_parts_with_eight_bit_octets_alone(message: str, converted: str) -> None:
    assert to_seven_bit(wire(message)) == wire(converted)
    assert leaves(wire(message)) == leaves(wire(converted))


def test_message_without_eight_bit_octets_is_returned_as_it_is() -> None:
    content = b"anything at all"
    assert to_seven_bit(content) is content


LABEL = "MIME-Version: 1.0\nContent-Type: "


@pytest.mark.parametrize(
    "message",
    [
        pytest.param("Subject: caf\xe9\n\nx\n", id="8-bit header"),
        pytest.param(LABEL + "multipart/signed; boundary=b\n\n--b\n\n\xe9\n--b--\n", id="signed"),
        pytest.param(LABEL + "message/delivery-status\n\n\xe9\n", id="a type that may not be encoded"),
        pytest.param(LABEL + "text/plain\nContent-Transfer-Encoding: base64\n\n\xe9\n", id="base64 that is none"),
        pytest.param(LABEL + "text/plain\nContent-Transfer-Encoding: x-own\n\n\xe9\n", id="an unknown encoding"),
        pytest.param(LABEL + "multipart/mixed\n\n--b\n\n\xe9\n--b--\n", id="no boundary"),
        pytest.param(
            LABEL + "multipart/mixed; boundary=c\n\n--b\n\n\xe9\n--b--\n", id="a boundary that does not occur"
        ),
        pytest.param("Subject: x\nno header line\n\n\xe9\n", id="a broken header"),
        pytest.param("From a@b Tue\nSubject: x\n\n\xe9\n", id="an mbox line"),
        pytest.param(" folded\nSubject: x\n\n\xe9\n", id="a header that begins in the middle"),
        pytest.param("caf\xe9\n", id="no header"),
    ],
)
def test_what_cannot_be_converted_is_refused(message: str) -> None:
    assert to_seven_bit(wire(message)) is None


def test_long_lines_are_broken_with_crlf_even_without_a_line_end() -> None:
    converted = to_seven_bit(b"MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n" + b"\xe9" * 2000)
    assert converted is not None
    assert all(len(line) <= 78 and b"\n" not in line for line in converted.split(b"\r\n"))


@pytest.mark.parametrize("kind", ["global", "global-headers", "global-delivery-status"])
def test_international_messages_and_their_parts_become_base64(kind: str) -> None:
    """RFC 6532 3.7 and RFC 6533 6 allow it, unlike RFC 2046 for message/rfc822."""
    converted = to_seven_bit(wire(LABEL + f"message/{kind}\n\nSubject: \xe9\n"))
    assert converted == wire(LABEL + f"message/{kind}\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDog6Q0K\n")


def test_text_with_bare_line_ends_becomes_base64() -> None:
    content = b"MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n\xe9\na\rb\r\n"
    converted = to_seven_bit(content)
    assert converted is not None
    assert b"base64" in converted
    assert leaves(converted) == leaves(content)


def nested(levels: int) -> bytes:
    level = "MIME-Version: 1.0\nContent-Type: message/rfc822\n\n"
    return wire(level * levels + "Subject: x\n\n\xe9\n")


def test_nesting_has_a_bound() -> None:
    assert to_seven_bit(nested(DEPTH_MAX)) is not None
    assert to_seven_bit(nested(DEPTH_MAX + 1)) is None
    assert to_seven_bit(nested(20_000)) is None


def test_size_has_a_bound() -> None:
    head = b"Subject: x\r\n\r\n\xe9\r\n"
    assert to_seven_bit(head + b"x" * (SIZE_MAX - len(head))) is not None
    assert to_seven_bit(head + b"x" * (SIZE_MAX - len(head) + 1)) is None


def test_number_of_parts_has_a_bound() -> None:
    head = wire(LABEL + "multipart/mixed; boundary=b\n\n")
    part = b"--b\r\n\r\n\xe9\r\n"
    assert to_seven_bit(head + part * 1000) is not None
    assert to_seven_bit(head + part * (PIECES_MAX // 2)) is None


def test_hostile_structure_costs_linear_time() -> None:
    mib = 1024 * 1024
    label = wire(LABEL)
    for repeated in (b"--b\r\n", b"--bb\r\n", b"--b\r\n\r\n\xe9\r\n", b"--b \t" + b"\t" * 900 + b"x\r\n"):
        content = (
            label + b"multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n\xe9\r\n" + repeated * (mib // len(repeated))
        )
        begin = time.process_time()
        to_seven_bit(content)
        to_seven_bit(label + b"multipart/mixed; " + b"a;" * 100_000 + b"\r\n\r\n\xe9")
        to_seven_bit(b"A:\r\n" * 50_000 + b"\r\n\xe9")
        assert time.process_time() - begin < 2


OCTETS = st.binary(max_size=40).map(lambda octets: octets.replace(b"\r", b"").replace(b"\n", b"\r\n"))
ENCODINGS = st.sampled_from([b"", b"Content-Transfer-Encoding: 8bit\r\n", b"Content-transfer-encoding:7BIT\r\n"])
LEAF_TYPES = st.sampled_from([b"", b"Content-Type: text/html\r\n", b"Content-Type: application/pdf\r\n"])
LEAVES = st.builds(lambda kind, encoding, body: kind + encoding + b"\r\n" + body, LEAF_TYPES, ENCODINGS, OCTETS)


def container(kind: bytes, encoding: bytes, children: list[bytes], preamble: bytes) -> bytes:
    boundary = b"=_%d" % sum(len(child) for child in children)
    line = b"\r\n--" + boundary
    label = b'Content-Type: multipart/%b; boundary="%b"\r\n' % (kind, boundary)
    return (
        label
        + encoding
        + b"\r\n"
        + preamble
        + b"".join(line + b"\r\n" + child for child in children)
        + line
        + b"--\r\n"
    )


CONTAINERS = st.sampled_from([b"mixed", b"alternative", b"related"])
TREES = st.recursive(
    LEAVES,
    lambda children: (
        st.builds(container, CONTAINERS, ENCODINGS, st.lists(children, min_size=1, max_size=3), OCTETS)
        | children.map(lambda child: b"Content-Type: message/rfc822\r\n\r\nMIME-Version: 1.0\r\n" + child)
    ),
    max_leaves=6,
)


@given(TREES)
def test_every_part_decodes_to_what_it_decoded_to_before(tree: bytes) -> None:
    content = b"MIME-Version: 1.0\r\n" + tree
    converted = to_seven_bit(content)
    assert converted is not None
    assert converted.isascii()
    assert leaves(converted) == leaves(content)


PIECES = st.sampled_from(
    [
        *(
            b"\r\n",
            b"\r\n\r\n",
            b"--b",
            b"--",
            b"--b--\r\n",
            b"\r\n--b\r\n",
            b"\xe9",
            b"=",
            b" ",
            b";",
            b"text",
            b":",
        ),
        *(
            b"MIME-Version: 1.0\r\n",
            b"Content-Type: multipart/mixed; boundary=b\r\n",
            b"Content-Type: message/rfc822\r\n",
        ),
        *(
            b"Content-Transfer-Encoding: 8bit\r\n",
            b"Content-Type: multipart/mixed; boundary=",
            b'"',
            b"bb",
            b"A: b\r\n",
        ),
    ]
)


@given(st.lists(PIECES, max_size=30).map(b"".join))
def test_broken_messages_are_refused_or_keep_their_content(content: bytes) -> None:
    converted = to_seven_bit(content)
    if converted is not None:
        assert converted.isascii()
        assert leaves(converted) == leaves(content)


@given(st.binary(max_size=200))
def test_any_octets_are_refused_or_converted(content: bytes) -> None:
    converted = to_seven_bit(content)
    assert converted is None or converted.isascii()


@pytest.mark.skipif(not CORPUS.is_dir() and "CI" not in os.environ, reason="no corpus of real mail here")
def test_real_mail_keeps_its_content() -> None:
    converted = 0
    for path in sorted(CORPUS.rglob("*.eml")):
        content = re.sub(rb"\r?\n", b"\r\n", path.read_bytes())
        result = to_seven_bit(content)
        if result is not None and result is not content:
            converted += 1
            assert result.isascii(), path
            assert leaves(result) == leaves(content), path
    assert converted >= 80


# In pieces


@pytest.mark.parametrize("kind", ["text/plain", "application/octet-stream"])
def test_a_large_message_comes_in_pieces_of_bounded_size(kind: str) -> None:
    content = wire(LABEL + kind + "\n\n") + b"caf\xe9 au lait\r\n" * (10 * STEP // 15)
    found = list(pieces(content))
    assert len(found) > 10
    assert max(map(len, found)) <= 3 * STEP + 100
    assert leaves(b"".join(found)) == leaves(content)


LONG_TEXT = st.lists(
    st.sampled_from([b"\r\n", b"\xe9", b"a", b" ", b".", b"=", b"word " * 12, b"\xe9" * 30, b"\r\n.\r\n"]),
    max_size=60,
).map(b"".join)


@given(LONG_TEXT, st.sampled_from(["text/plain", "image/png"]), st.integers(64, 130))
def test_where_pieces_end_changes_no_octet_and_makes_no_line_too_long(text: bytes, kind: str, step: int) -> None:
    content = wire(LABEL + kind + "\n\n") + b"\xe9" + text
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(eight_bit, "STEP", step)
        converted = to_seven_bit(content)
    assert converted is not None
    assert converted.isascii()
    assert max(map(len, converted.split(b"\r\n"))) <= 76
    header, _, body = converted.partition(b"\r\n\r\n")
    decode = quopri.decodestring if b"quoted-printable" in header else base64.b64decode
    assert decode(body) == b"\xe9" + text


@pytest.mark.parametrize("last", [b" ", b"\t"])
@pytest.mark.parametrize("length", range(60, 80))
def test_a_space_at_the_end_of_a_full_line_makes_it_no_longer(length: int, last: bytes) -> None:
    body = b"\xe9" + b"x" * length + last + b"\r\nnext\r\n"
    converted = to_seven_bit(wire(LABEL + "text/plain\n\n") + body)
    assert converted is not None
    encoded = converted.partition(b"\r\n\r\n")[2]
    assert max(map(len, encoded.split(b"\r\n"))) <= 76
    assert quopri.decodestring(encoded) == body


LINE_ENDS = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"\r\n", b"\r\n", b"a"]), max_size=80).map(b"".join)


@given(LINE_ENDS, st.integers(0, 5))
def test_text_is_quoted_printable_where_all_line_ends_are_crlf(text: bytes, step: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(eight_bit, "STEP", 57 + step)
        converted = to_seven_bit(wire(LABEL + "text/plain\n\n") + b"\xe9" + text)
    assert converted is not None
    is_clean = text.count(b"\r\n") == text.count(b"\r") == text.count(b"\n")
    assert (b"quoted-printable" in converted) is is_clean


def test_what_cannot_be_converted_says_so_at_some_piece() -> None:
    with pytest.raises(UnconvertibleError):
        list(pieces(wire("Subject: caf\xe9\n\nx\n")))
