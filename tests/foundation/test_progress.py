"""The bar of long work: on a terminal, and nowhere else."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest

SCRIPT = """
import time, numpy as np, tinygrad_lite as tg
x = np.ones((40, 2))
tg.fit(tg.nn.Linear(2, 1, rng=0), tg.nn.MSELoss(), (x, x[:, :1]), epochs=5, callbacks=[lambda t: time.sleep(0.12)])
step = tg.compile(lambda x: np.sum(x), "numpy")
step.epochs([x], 4, epochs=5)
"""


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_is_shown_on_a_terminal(terminal: bool) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 120, 0, 0))
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stderr=theirs if terminal else subprocess.PIPE)
    os.close(theirs)
    written = b"" if terminal else process.communicate()[1]
    while terminal:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        written += part
    assert process.wait() == 0
    if terminal:
        for part in (b"4/5", b"loss=", b"0/50"):
            assert part in written
    else:
        assert not written
