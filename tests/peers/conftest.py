"""Real peers as fixtures. Each is a factory: a test says what it needs, and everything is ended after it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme

from tests.peers.bridgehead import Bridgehead
from tests.peers.name_server import NameServer
from tests.peers.postfix import PrivatePostfix
from tests.peers.sink import Sink

StartPostfix = Callable[..., PrivatePostfix]
StartNameServer = Callable[[Mapping[str, str | Path]], NameServer]
NewBridgehead = Callable[..., Bridgehead]


@pytest.fixture
def shared_directory() -> Iterator[Path]:
    """A folder that other accounts may enter, which those of `tmp_path` are not."""
    path = Path(tempfile.mkdtemp(prefix="peer-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def start_postfix(shared_directory: Path) -> Iterator[StartPostfix]:
    """`start_postfix({"relayhost": ...})`: a running private Postfix."""
    with ExitStack() as stack:

        def start(settings: Mapping[str, str] | None = None, *, name: str = "postfix") -> PrivatePostfix:
            postfix = PrivatePostfix(shared_directory / name, settings)
            stack.callback(postfix.stop)
            postfix.start()
            return postfix

        yield start


@pytest.fixture
def start_name_server(tmp_path: Path) -> Iterator[StartNameServer]:
    """`start_name_server({"a.example": "@ IN MX 10 mx"})`: a running NSD."""
    with ExitStack() as stack:

        def start(zones: Mapping[str, str | Path]) -> NameServer:
            server = NameServer(tmp_path / "zones", zones)
            stack.callback(server.stop)
            server.wait_answering()
            return server

        yield start


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A next hop that keeps accounts."""
    with Sink() as running:
        yield running


@pytest.fixture
def new_bridgehead(tmp_path: Path) -> Iterator[NewBridgehead]:
    """`new_bridgehead()`: a server that is not configured nor started yet."""
    with ExitStack() as stack:

        def make(*, name: str = "bridgehead", implicit_tls: bool = False) -> Bridgehead:
            server = Bridgehead(tmp_path / name, implicit_tls=implicit_tls)
            stack.callback(server.end)
            return server

        yield make


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority of the test's own."""
    return trustme.CA()


@pytest.fixture(scope="session")
def certificate(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `cert.pem`, `key.pem` (for localhost, 127.0.0.1 and relay.test) and `ca.pem`."""
    folder = tmp_path_factory.mktemp("certificate")
    issued = authority.issue_cert("localhost", "127.0.0.1", "relay.test", "next-hop.test")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    for index, part in enumerate(issued.cert_chain_pems):
        part.write_to_path(str(folder / "cert.pem"), append=index > 0)
    (folder / "key.pem").chmod(0o600)
    return folder
