"""
A value that is used twice
==========================

Two operations take ``b``, and one of them takes it twice. A gradient comes back along each of these ways, and what
arrives at ``b`` is their sum: 4 from the product and 2 + 2 from the sum, 8 together. The pass must have finished with
``c`` before it may go on from ``b``; that is why it runs in reverse order of creation.
"""

from pathlib import Path

import tinygrad_lite as tg

a = tg.tensor(1.0, requires_grad=True, name="a")
b = a + a
c = b + b
d = b * c

lesson = tg.explain(d)
Path("fan_out.svg").write_text(lesson.to_svg())
