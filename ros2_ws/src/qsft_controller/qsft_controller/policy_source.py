"""Where the policy comes from: a checkpoint folder, a policy server, or a function that a parameter names."""

from __future__ import annotations

from pathlib import Path

from qsft_controller.named_object import named_object
from vlm_qsft.errors import InvalidSetting
from vlm_qsft.policy.interface import DescribedPolicy, PolicyInterface
from vlm_qsft.remote import RemotePolicy, RemoteSettings


def load_policy(
    *, checkpoint: str, policy: str, device: str, explain: bool, server: RemoteSettings | None = None
) -> DescribedPolicy:
    """Return the policy.

    Args:
        checkpoint: folder, or "".
        policy: MODULE:FUNCTION without arguments, or "".
        device: of a checkpoint.
        explain: see `vlm_qsft.policy.QPolicy`.
        server: how to ask a policy server, or None.

    Raises:
        CheckpointError, InvalidSetting, UnknownName: none or several are named, or it cannot be loaded.
        PolicyServerError: the server is gone, late, full, of another version, or does not take the token.
    """
    if [bool(checkpoint), bool(policy), server is not None].count(True) != 1:
        raise InvalidSetting("Name one of the parameters 'checkpoint', 'policy_server.address' and 'policy'.")
    if server is not None:
        return RemotePolicy(server)
    if checkpoint:
        from vlm_qsft.policy import loading  # torch takes seconds and other policies do not need it

        folder = Path(checkpoint).expanduser()
        loaded = loading.load_policy(folder, loading.chosen_settings(folder), device, explain=explain)
        loaded.decider.warm_up()
        return loaded
    made = named_object(policy, "policy")()
    if not isinstance(getattr(made, "interface", None), PolicyInterface):
        raise InvalidSetting(f"The policy '{policy}' says not what it needs: it has no PolicyInterface 'interface'.")
    return made
