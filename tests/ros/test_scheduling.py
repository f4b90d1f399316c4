"""What a configured controller asks of Python and of the operating system."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: make test installs it")

from lifecycle_msgs.msg import Transition
from rigs import rig_in

NOBODY = 65534
OF_A_PROCESS = """
import gc, os, sys
from qsft_controller.scheduling import be_ordinary, be_punctual
from vlm_qsft.errors import InvalidSetting
if os.getuid() == 0:
    os.setuid({user})
be_punctual(0)
assert gc.get_freeze_count() > 1000 and sys.getswitchinterval() == 0.0005
be_ordinary()
assert gc.get_freeze_count() == 0 and sys.getswitchinterval() == 0.005
try:
    be_punctual(50)
except InvalidSetting as error:
    print(error)
"""


def may_have_real_time() -> bool:
    ask = "import os; os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))"
    return subprocess.run([sys.executable, "-c", ask], capture_output=True).returncode == 0


def test_the_collector_and_the_switch_interval_are_set_and_given_back() -> None:
    program = OF_A_PROCESS.format(user=os.getuid())
    subprocess.run([sys.executable, "-c", program], check=True, timeout=200)


@pytest.mark.skipif(os.getuid() != 0 and may_have_real_time(), reason="this user may have real-time scheduling")
def test_real_time_without_the_right_to_it_is_refused_with_the_remedy() -> None:
    program = OF_A_PROCESS.format(user=NOBODY)
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=200)
    assert told.stdout.startswith("thread_priority is 50, but this process may not have real-time scheduling.")
    assert "rtprio" in told.stdout


@pytest.mark.skipif(not may_have_real_time(), reason="this user may not have real-time scheduling")
def test_only_the_control_loop_gets_real_time_scheduling_and_only_while_configured(tmp_path: Path, ros: None) -> None:
    with rig_in(tmp_path, "-p", "thread_priority:=50") as rig:
        rig.moving()  # the policy's thread lives too, then
        process = rig.controller.process.pid
        threads = {int(path.name) for path in Path(f"/proc/{process}/task").iterdir()} - {process}
        assert os.sched_getscheduler(process) & ~os.SCHED_RESET_ON_FORK == os.SCHED_FIFO
        assert os.sched_getparam(process).sched_priority == 50
        others = {thread: os.sched_getscheduler(thread) for thread in threads}
        favoured = [Path(f"/proc/{process}/task/{thread}/comm").read_text() for thread in others if others[thread]]
        assert os.SCHED_OTHER == 0 and favoured == []
        assert rig.controller.change_state(Transition.TRANSITION_DEACTIVATE)
        assert rig.controller.change_state(Transition.TRANSITION_CLEANUP)
        assert os.sched_getscheduler(process) == os.SCHED_OTHER
