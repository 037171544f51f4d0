"""The tree of exceptions. Expected results (a deferral, a refusal) are values, never exceptions.

    BridgeheadError
    ├── ConfigurationError    the operator's fault: a file or an argument; says where and what to do
    │   └── NotationError     one text of a file that is not written as its place wants it
    ├── MachineError          this machine's fault: a port in use, a folder not writable, a full disk
    │   ├── DamagedError      a record of the spool is not what was written
    │   └── NotRunningError   no server answers on the control socket
    ├── ProtocolError         the peer's fault: bytes that break the protocol
    ├── UnconvertibleError    a message has 8-bit content that cannot be written in 7-bit form
    ├── ControlError          a running server refuses what a command asks
    └── SpoolLostError        our own fault: what writes the spool is gone, and this process has to end

Any other exception that leaves a public function is a defect of ours.
"""


class BridgeheadError(Exception):
    """Whatever this program raises on purpose; its text is one clear sentence for a person."""


class ConfigurationError(BridgeheadError):
    """The configuration, or an argument of a command, is wrong; the text names the place and the remedy."""


class MachineError(BridgeheadError):
    """The machine does not let us do what the configuration asks for; the text names the remedy."""


class ProtocolError(BridgeheadError):
    """The peer broke the protocol; the caller answers with a reply or ends the connection."""
