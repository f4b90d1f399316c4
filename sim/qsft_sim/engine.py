"""MuJoCo, imported so that MUJOCO_GL cannot break it.

MuJoCo reads the variable once, when it is imported, and ends with an exception for an unknown value or a driver that is
not installed. Which back end draws is chosen by `rendering`, which looks at what works.
"""

from __future__ import annotations

import os

_given = os.environ.pop("MUJOCO_GL", None)
try:
    import mujoco as mujoco
finally:
    if _given is not None:
        os.environ["MUJOCO_GL"] = _given
