"""Where the controller's policy comes from: a checkpoint folder, or a function that a parameter names."""

from __future__ import annotations

from pathlib import Path

from qsft_controller.named_object import named_object
from vlm_qsft.errors import InvalidSetting
from vlm_qsft.policy.interface import DescribedPolicy, PolicyInterface


def load_policy(*, checkpoint: str, policy: str, device: str, explain: bool) -> DescribedPolicy:
    """Return the policy.

    Args:
        checkpoint: folder, or "".
        policy: MODULE:FUNCTION without arguments, or "".
        device: of a checkpoint.
        explain: see `vlm_qsft.policy.QPolicy`.

    Raises:
        CheckpointError, InvalidSetting, UnknownName: neither or both are named, or it cannot be loaded.
    """
    if bool(checkpoint) == bool(policy):
        raise InvalidSetting("Name either the parameter 'checkpoint' or the parameter 'policy'.")
    if checkpoint:
        from vlm_qsft.policy import loading  # torch takes seconds and other policies do not need it

        folder = Path(checkpoint).expanduser()
        return loading.load_policy(folder, loading.chosen_settings(folder), device, explain=explain)
    made = named_object(policy, "policy")()
    if not isinstance(getattr(made, "interface", None), PolicyInterface):
        raise InvalidSetting(f"The policy '{policy}' says not what it needs: it has no PolicyInterface 'interface'.")
    return made
