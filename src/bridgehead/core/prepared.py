"""Names and passwords in one form, however they were typed: the profiles of RFC 8265 as far as they concern us.

The same password is typed with composed letters on one machine and with combining marks on another, and a space is
not always U+0020. OpaqueString (4.2) makes them equal; names are UsernameCasePreserved (3.4): ASCII stays.
Left out: the rule of direction, and what else the PRECIS classes (RFC 8264) disallow beyond what is refused here.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_REFUSED: Final = frozenset({"Cc", "Cs", "Co"})
"""General categories: controls, surrogates, private use. What is unassigned today is a letter in the next Unicode."""


def prepared_password(text: str) -> str | None:
    """A password to hash or to compare; `None`: no password can be like that. Never shown to anyone."""
    if text.isascii():
        return text if text.isprintable() and text else None
    spaced = "".join(" " if unicodedata.category(one) == "Zs" else one for one in text)
    return _normal(spaced)


def prepared_name(text: str) -> str | None:
    """The name of an account to look up, upper and lower case apart; `None`: no account has such a name."""
    if text.isascii():
        return text if text.isprintable() and text else None
    wide = "".join(unicodedata.normalize("NFKC", one) if _is_wide(one) else one for one in text)
    if any(unicodedata.category(one) == "Zs" for one in wide):
        return None
    return _normal(wide)


def _is_wide(character: str) -> bool:
    """Whether it is another width of a character (RFC 8265 3.4.2: width mapping)."""
    return unicodedata.decomposition(character).startswith(("<wide>", "<narrow>"))


def _normal(text: str) -> str | None:
    if any(unicodedata.category(one) in _REFUSED for one in text):
        return None
    return unicodedata.normalize("NFC", text) or None
