"""The kinds of fields that the tables of the file are made of.

A field keeps the text of the file and only checks it; turning it into values is the business of `build`. So the JSON
Schema shows defaults as an operator writes them. `later` marks what is not available yet: its default is accepted,
anything else is an error, never silence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from bridgehead.control.configuration import domains, notation
from bridgehead.control.configuration.issue import NotationError

_T = TypeVar("_T")

COUNT_MAX: Final = 2**31 - 1
"""More than any machine has of anything counted here."""

LATER_CHOICES: Final = frozenset(
    {"SCRAM-SHA-256", "certificate", "dane", "etrn", "mta-sts", "ntlm", "oauth2", "policy", "scram", "turn"}
)
"""Choices that are named already, and not available yet."""


class Table(BaseModel):
    """A table of the file: unknown keys are errors, nothing is converted silently."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


def later(default: object, written: str) -> AfterValidator:
    """Accepts the default alone; `written` shows how it looks in the file."""

    def check(value: _T) -> _T:
        if _unordered(value) != _unordered(default):
            raise PydanticCustomError("later", "{written}", {"written": written})
        return value

    return AfterValidator(check)


def _unordered(value: object) -> object:
    """A list of choices means the same in any order."""
    return sorted(value, key=str) if isinstance(value, list) else value


def _refuse_later_choice(value: str) -> str:
    if value in LATER_CHOICES:
        raise PydanticCustomError("later", "another value", {"written": "another value"})
    return value


available = AfterValidator(_refuse_later_choice)
"""Refuses the choices of a field that are not available yet."""


def checked(parse: Callable[[str], object]) -> AfterValidator:
    """Checks a text by parsing it, and keeps the text."""

    def check(text: str) -> str:
        parse(text)
        return text

    return AfterValidator(check)


def checked_unless_empty(parse: Callable[[str], object]) -> AfterValidator:
    """As `checked`; the empty text means "not set"."""

    def check(text: str) -> str:
        if text:
            parse(text)
        return text

    return AfterValidator(check)


def _refuse_plain_secret(value: object) -> object:
    if isinstance(value, str):
        raise PydanticCustomError("plain_secret", "a plain text")
    return value


def _is_printable(text: str) -> None:
    if not text.isprintable() or text != text.strip() or not text:
        raise NotationError(text, "a name of printable characters, without spaces at its ends")


def _is_server_name(text: str) -> None:
    _is_printable(text)
    if "/" in text:
        raise NotationError(text, 'a name without "/"', text.replace("/", "-"))


def text_or_table(value: object) -> str:
    """Which form of a field that may be a text or a table was written."""
    return "<table>" if isinstance(value, dict | BaseModel) else "<text>"


def text_or_list(value: object) -> str:
    """Which form of a field that may be a text or a list was written."""
    return "<list>" if isinstance(value, list) else "<text>"


def _has_no_nul(text: str) -> None:
    if "\0" in text:
        raise NotationError(text, "a path")


Name: TypeAlias = Annotated[str, checked(_is_printable), Field(min_length=1, max_length=128)]
ServerName: TypeAlias = Annotated[str, checked(_is_server_name), Field(min_length=1, max_length=64)]
GroupName: TypeAlias = Annotated[str, checked_unless_empty(_is_printable), Field(max_length=128)]
PathText: TypeAlias = Annotated[str, checked(_has_no_nul)]
Duration: TypeAlias = Annotated[
    str,
    checked(notation.duration_seconds),
    Field(json_schema_extra={"pattern": "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$"}),
]
Count: TypeAlias = Annotated[int, Field(ge=0, le=COUNT_MAX)]
PositiveCount: TypeAlias = Annotated[int, Field(ge=1, le=COUNT_MAX)]
Port: TypeAlias = Annotated[int, Field(ge=1, le=notation.PORT_MAX)]
PositiveNumber: TypeAlias = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]
Endpoint: TypeAlias = Annotated[str, checked_unless_empty(lambda text: notation.endpoint(text, port_min=0))]
ListenAddress: TypeAlias = Annotated[str, checked(lambda text: notation.endpoint(text, port_min=0))]
ServerAddress: TypeAlias = Annotated[str, checked_unless_empty(notation.server_address)]
HostName: TypeAlias = Annotated[str, checked_unless_empty(domains.host_name)]
DomainPattern: TypeAlias = Annotated[str, checked(domains.pattern)]
Mailbox: TypeAlias = Annotated[str, checked_unless_empty(domains.mailbox)]
Client: TypeAlias = Annotated[str, checked(notation.client)]
Sender: TypeAlias = Annotated[str, checked(domains.sender)]
IpAddress: TypeAlias = Annotated[str, checked(notation.ip_text)]
NameServer: TypeAlias = Annotated[str, checked(notation.name_server)]
Delivery: TypeAlias = Annotated[str, checked_unless_empty(notation.local_delivery)]
SmartHostEntry: TypeAlias = Annotated[str, checked(notation.smart_host)]
SmartHosts: TypeAlias = Annotated[
    Annotated[str, checked(notation.smart_hosts), Tag("<text>")] | Annotated[list[SmartHostEntry], Tag("<list>")],
    Discriminator(text_or_list),
]
TextOrList: TypeAlias = Annotated[
    Annotated[str, Tag("<text>")] | Annotated[list[str], Tag("<list>")], Discriminator(text_or_list)
]


class ListFile(Table):
    """A list kept in a file: UTF-8, one entry a line, `#` begins a comment."""

    file: Annotated[str, Field(min_length=1)]
    """Path; a relative one starts at the folder of the configuration file."""


class SecretTable(Table):
    """Where a secret is found; exactly one key. A secret is never written into the file itself."""

    env: str = ""
    """Name of an environment variable."""
    file: str = ""
    """Path of a file that not everyone on the machine may read; one line end at its end is dropped."""
    credential: str = ""
    """Name of a systemd credential (LoadCredential=)."""
    sealed: Annotated[str, later("", '""')] = ""
    """Name of a sealed secret (not available yet)."""


SecretField: TypeAlias = Annotated[SecretTable, BeforeValidator(_refuse_plain_secret)]
