"""Every trick to make a server relay for someone it does not know; none of them works."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.client import STRANGER, Client
from bridgehead.core.organization import AcceptedDomain, LocalDelivery
from bridgehead.core.policy import Admission, Refused
from tests.core.organizations import OUTSIDE, ask, connector, organization

LMTP = LocalDelivery("lmtp", "127.0.0.1:24")

# Every trick we know to make a server relay for someone it does not know. `contoso.com` is ours, everyone exists in
# it; 192.0.2.1 is our own address; `evil.example` is where the mail is meant to go.
TRICKS = (
    b"u@evil.example",
    b"u@EVIL.example",
    b"u@evil.example.",
    b"u@evil.example..",
    b"u@.evil.example",
    b"u@evil..example",
    b"u@evil.example,contoso.com",
    b"u@evil.example contoso.com",
    b"u@evil.example;contoso.com",
    b"u@evil.example:contoso.com",
    b"u@evil.example/contoso.com",
    b"u@evil.example\\contoso.com",
    b"u@evil.example#contoso.com",
    b"u@evil.example?contoso.com",
    b"u@evil.example|contoso.com",
    b"u@evil.example(contoso.com)",
    b"u@(contoso.com)evil.example",
    b"u@evil.example>contoso.com",
    b"u@evil.example<u@contoso.com>",
    b"<u@evil.example>@contoso.com",
    # percent
    b"u%evil.example@contoso.com",
    b"u%evil.example@[192.0.2.1]",
    b"u%evil.example@mail.contoso.com",
    b"u%evil.example@localhost",
    b"u%evil.example@",
    b"u%evil.example",
    b"u%evil.example%contoso.com",
    b"u%evil.example%contoso.com@contoso.com",
    b"u%%evil.example@contoso.com",
    b"u%40evil.example@contoso.com",
    b"u=40evil.example%x@contoso.com",
    b"%evil.example@contoso.com",
    b"@evil.example%u@contoso.com",
    # bang
    b"evil.example!u@contoso.com",
    b"evil.example!u@[192.0.2.1]",
    b"evil.example!u",
    b"contoso.com!evil.example!u",
    b"contoso.com!evil.example!u@contoso.com",
    b"evil.example!u%contoso.com@contoso.com",
    b"!evil.example!u@contoso.com",
    # second at
    b"u@evil.example@contoso.com",
    b"u@contoso.com@evil.example",
    b"u@evil.example@[192.0.2.1]",
    b"u@@evil.example",
    b"u@evil.example@",
    b"@u@evil.example",
    b"@@evil.example:u@contoso.com",
    b"u@evil.example@@contoso.com",
    b"u@evil.example@contoso.com@contoso.com",
    # quotes
    b'"u@evil.example"',
    b'"u%evil.example"',
    b'"u@evil.example"@contoso.com',
    b'"u%evil.example"@contoso.com',
    b'"evil.example!u"@contoso.com',
    b'"u@evil.example"@[192.0.2.1]',
    b'"u"@evil.example',
    b'"u"@evil.example@contoso.com',
    b'"u\\@evil.example"@contoso.com',
    b'"u"%evil.example@contoso.com',
    b'u"@evil.example"@contoso.com',
    b'"u"."x"@evil.example@contoso.com',
    b'"@evil.example:u"@contoso.com',
    b'"<u@evil.example>"@contoso.com',
    b'"u@evil.example> NOTIFY=NEVER"@contoso.com',
    b'""@evil.example',
    b'"u@contoso.com"@evil.example',
    b'"u@evil.example',
    b"'u@evil.example'@contoso.com",
    b"\\u@evil.example",
    b"u\\@evil.example@contoso.com",
    # source routes
    b"@contoso.com:u@evil.example",
    b"@contoso.com,@contoso.com:u@evil.example",
    b"@[192.0.2.1]:u@evil.example",
    b"@localhost:u@evil.example",
    b"@evil.example:u@contoso.com",
    b"@contoso.com:u%evil.example@contoso.com",
    b"@contoso.com:evil.example!u@contoso.com",
    b"@contoso.com:@evil.example:u@contoso.com",
    b"@contoso.com:u@evil.example@contoso.com",
    b"@contoso.com:",
    b"@:u@evil.example",
    b"@contoso.com,:u@evil.example",
    b"@contoso.com u@evil.example",
    # controls
    b"u@evil.example\x00@contoso.com",
    b"u@contoso.com\x00.evil.example",
    b"u@evil.example\x00.contoso.com",
    b"u\x00@evil.example",
    b"u@evil.example\r\n.contoso.com",
    b"u@evil.example\n@contoso.com",
    b"u@evil.example\t.contoso.com",
    b"u@evil.example\x0b.contoso.com",
    b"u@evil.example\x7f.contoso.com",
    b"u@contoso.com\x85.evil.example",
    # literals of any notation
    b"u@[192.0.2.1]",
    b"u@[203.0.113.9]",
    b"u@192.0.2.1",
    b"u@[127.0.0.1]",
    b"u@127.0.0.1",
    b"u@127.1",
    b"u@2130706433",
    b"u@[2130706433]",
    b"u@0x7f000001",
    b"u@0x7f.1",
    b"u@[0x7f.0.0.1]",
    b"u@0177.0.0.1",
    b"u@[0177.0.0.1]",
    b"u@[IPv6:::1]",
    b"u@[::1]",
    b"u@[IPv6:::ffff:127.0.0.1]",
    b"u@[IPv6:fe80::1%25contoso.com]",
    b"u@[contoso.com]",
    b"u@[evil.example]",
    b"u@[192.0.2.1].evil.example",
    b"u@contoso.com[203.0.113.9]",
    # suffix and prefix compare
    b"u@badcontoso.com",
    b"u@bad-contoso.com",
    b"u@contoso.com.evil.example",
    b"u@contoso.comm",
    b"u@contoso.co",
    b"u@com",
    b"u@a.contoso.com",
    b"u@a.b.contoso.com",
    b"u@.contoso.com",
    b"u@evil.example.contoso.com",
    b"u@-contoso.com",
    b"u@contoso_com",
    b"u@*.contoso.com",
    b"u@*",
    # Unicode
    "u@cоntoso.com".encode(),
    "u@contosо.com".encode(),
    "u@ｅvil.example".encode(),
    "u@evil。example".encode(),
    "u@evil．example".encode(),
    "u＠evil.example@contoso.com".encode(),
    "u@evil.example＠contoso.com".encode(),
    "u﹫evil.example@contoso.com".encode(),
    "u％evil.example@contoso.com".encode(),
    "evil.example！u@contoso.com".encode(),
    "u@evil.example\u200b.contoso.com".encode(),
    "u@contoso.com\u2024evil.example".encode(),
    "u@evil.example\u2100contoso.com".encode(),
    "u@evil.example\uff0fcontoso.com".encode(),
    "u@contoso.com\u202emoc.live".encode(),
    b"u@xn--evil",
    b"u\xff@evil.example",
    b"u\xc0\xa5evil.example@contoso.com",
    b"u+AEA-evil.example@contoso.com",
    b"u&AEA-evil.example@contoso.com",
    # encoded words
    b"=?utf-8?q?u=40evil.example?=@contoso.com",
    b"=?x?q?u=40evil.example=3e=00?=x@contoso.com",
    b"=?utf-7?q?u&AEA-evil.example?=@contoso.com",
    b"=?utf-8?b?dUBldmlsLmV4YW1wbGU=?=@contoso.com",
    # forms that are none
    b"",
    b"u",
    b"u@",
    b"@evil.example",
    b"u @evil.example",
    b"u@ evil.example",
    b" u@evil.example",
    b"mailto:u@evil.example",
    b"smtp:u@evil.example",
    b"X400:c=us@evil.example",
    b"IMCEASMTP-u+40evil+2Eexample@contoso.com",
    b"IMCEASMTP-u+40evil+2Eexample@evil.example",
    b"u(comment@contoso.com)@evil.example",
    b"u@evil.example (contoso.com)",
    b"postmaster@evil.example",
    b'"postmaster"@evil.example',
    b"postmaster%evil.example@contoso.com",
    b"postmaster@contoso.com@evil.example",
    b"${run{/bin/true}}@contoso.com",
    b";id;@evil.example",
    b"|id@evil.example",
    b"../../u@evil.example",
)


def test_there_are_at_least_ninety_different_tricks() -> None:
    assert len(set(TRICKS)) == len(TRICKS) >= 90


@pytest.mark.parametrize("path", TRICKS, ids=[repr(path)[2:-1] for path in TRICKS])
@pytest.mark.parametrize("client", [OUTSIDE, STRANGER], ids=["outside", "nobody known"])
def test_trick_never_relays_for_a_client_that_may_not_relay(path: bytes, client: Client) -> None:
    """Refused for ever, or a recipient of our own domain, whose address goes no further than `deliver`."""
    everyone = organization(connector("ISP", "*"), accepted=(AcceptedDomain("contoso.com", deliver=LMTP),))

    verdict = ask(everyone, path, client, sender="known@contoso.com")

    if isinstance(verdict, Refused):
        assert verdict.reply.is_permanent
        return
    assert verdict.domain == "contoso.com"
    assert verdict.rule in {Admission.ACCEPTED_DOMAIN, Admission.POSTMASTER}
    local_part = verdict.address.rpartition("@")[0]
    assert local_part.startswith('"') or not set(local_part) & set("%!@")


_pieces = st.sampled_from(
    (
        "u",
        "@",
        "%",
        "!",
        ":",
        ",",
        '"',
        "\\",
        ".",
        "contoso.com",
        "evil.example",
        "[192.0.2.1]",
        "＠",
        "postmaster",
        " ",
    )
)


@given(st.lists(_pieces, max_size=10).map("".join))
def test_no_mixture_of_pieces_relays_for_a_stranger(path: str) -> None:
    everyone = organization(connector("ISP", "*"), accepted=(AcceptedDomain("contoso.com", deliver=LMTP),))

    verdict = ask(everyone, path.encode(), STRANGER)

    assert isinstance(verdict, Refused) or verdict.domain == "contoso.com"
