"""What this process does so that its control loop runs when it should, and stops doing when it controls nothing."""

from __future__ import annotations

import gc
import os
import sys

from vlm_qsft.errors import InvalidSetting

SWITCH_INTERVAL_S = 0.0005
"""How long a policy's thread may keep Python to itself once the control loop is due; Python's own 5 ms add up."""

_ORDINARY_SWITCH_INTERVAL_S = sys.getswitchinterval()


def be_punctual(priority: int) -> None:
    """Prepare for control; call it in the control loop's thread once everything is loaded.

    Full garbage collections look at everything that torch has made, 50 ms: what is there now is left out of them.

    Args:
        priority: of this thread alone, 1 to 99 for real-time scheduling (SCHED_FIFO), 0 for the ordinary one.

    Raises:
        InvalidSetting: this process may not have real-time scheduling.
    """
    _schedule(priority)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.collect()
    gc.freeze()


def be_ordinary() -> None:
    """Undo `be_punctual`."""
    _schedule(0)
    sys.setswitchinterval(_ORDINARY_SWITCH_INTERVAL_S)
    gc.unfreeze()


def _schedule(priority: int) -> None:
    # Threads that start later, the policy's among them, are ordinary ones: a policy that thinks must not keep the
    # transport and everything else from running.
    policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK if priority > 0 else os.SCHED_OTHER
    if priority == 0 and os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK == os.SCHED_OTHER:
        return
    try:
        os.sched_setscheduler(0, policy, os.sched_param(priority))
    except PermissionError as problem:
        raise InvalidSetting(
            f"thread_priority is {priority}, but this process may not have real-time scheduling. Give the user an "
            "rtprio limit (/etc/security/limits.d, as ros2_control needs it) or set thread_priority to 0."
        ) from problem
