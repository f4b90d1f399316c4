"""A policy on another machine: `qsft serve` answers, `RemotePolicy` asks. README.md describes the wire format.

The client loads neither torch nor a model. `PolicyServer` is imported from its module, beside a checkpoint.
"""

from vlm_qsft.remote.address import ServerAddress
from vlm_qsft.remote.credentials import Credentials, read_credentials
from vlm_qsft.remote.remote_policy import RemotePolicy, RemoteSettings

__all__ = ["Credentials", "RemotePolicy", "RemoteSettings", "ServerAddress", "read_credentials"]
