"""What to do about a step that failed: the cause that is likely, and the setting that mends it.

Pure. The first rule whose words are found in the step decides, so the more particular ones stand first.
"""

from __future__ import annotations

import re
from typing import Final

from bridgehead.control.trial_steps import Step

_RULES: Final[tuple[tuple[str, str, str], ...]] = (
    ("DNS", "null MX", "The domain says that it takes no mail at all. Check the domain."),
    ("DNS", "loops back", "The name leads to this server itself. Name the next host of the way, not this one."),
    (
        "DNS",
        "5.1.2|does not exist|no mail exchanger",
        "Check the spelling. [NAME] in brackets looks for A and AAAA only.",
    ),
    (
        "DNS",
        "DNS:|4.4.3",
        "The name servers gave no answer. Check dns_servers in [virtual_server.delivery], and port 53.",
    ),
    ("TCP", "refused", "Nothing listens there. Check host and port; submission hosts often want :587 or :465."),
    (
        "TCP",
        "timed out",
        "Something drops the packets. Many networks block outgoing port 25: ask their operator, or use :587.",
    ),
    (
        "TCP",
        "unreachable|no route",
        'There is no way to this address. Without IPv6, set family = "ipv4" in delivery.',
    ),
    ("TCP", "cannot assign", "source_addresses names an address that this machine does not have."),
    (
        "TLS",
        "wrong version number",
        "The port speaks no TLS from the first byte. Remove implicit_tls, or use port 465.",
    ),
    ("TLS", "mismatch|not valid for", "The certificate is for another name. Set tls_domain to the name it shows."),
    (
        "TLS",
        "self-signed|self signed|unable to get|issuer",
        "The authority behind the certificate is not trusted here. Set ca_file to its certificate.",
    ),
    (
        "TLS",
        "expired|not yet valid",
        "Check this machine's clock; if it is right, the host must renew its certificate.",
    ),
    ("TLS", "in the clear", 'Mail goes out in the clear. Set tls = "require" if it must not.'),
    ("TLS", "", "The TLS handshake failed. It must speak TLS 1.2 or later; ask its operator for the log."),
    (
        "greeting",
        "timed out",
        "It accepts connections and says nothing. If this is port 465, set implicit_tls = true.",
    ),
    ("greeting", "closed", "It hangs up on us. It may take only known addresses: ask its operator to add this one."),
    ("greeting", "", "It takes no mail from this address at present. Ask its operator, and check block lists."),
    (
        "EHLO|HELO",
        "",
        "It does not like our name. fqdn of the virtual server should resolve to this machine's address.",
    ),
    (
        "STARTTLS",
        "not offer|no authentication without",
        "Without TLS nothing is sent. Use its TLS port, or lower tls.",
    ),
    ("STARTTLS", "", "It offers TLS and then refuses it: its certificate may be missing. Ask its operator."),
    (
        "AUTH",
        "no authentication that we know",
        "It offers neither PLAIN nor LOGIN nor CRAM-MD5. Ask for one of them.",
    ),
    ("AUTH", "^535|^5", "It does not take name and password. Check username, and the secret that password names."),
    ("AUTH", "", "It cannot check the password at present. Waiting mail is tried again; no need to change anything."),
    ("MAIL|RCPT", "^4", "Not now (greylisting, or too much at once). Waiting mail is tried again by itself."),
    (
        "RCPT",
        "5\\.7|relay",
        "It does not relay for us. It must list this address, or want authentication (connector.security).",
    ),
    ("RCPT", "5\\.1", "It does not know this recipient. Try another --to."),
    ("MAIL", "", "It does not take this sender. Try --from with an address of yours."),
    ("DATA|message", "^5", "It refused the message itself. Its words say why."),
)
"""Name of the step, words of the reply (both regular expressions), advice."""


def advice(step: Step) -> str:
    """What to do about a step that did not pass; a sentence or two."""
    for name, words, text in _RULES:
        if re.fullmatch(name, step.name) and re.search(words, step.words, re.IGNORECASE):
            return text
    return "Its words say why; ask the operator of the host for its log."
