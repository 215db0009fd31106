"""
A value that is used twice
==========================

Two operations use ``b``, and one of them uses it twice. A gradient comes back from each use, and the gradient of ``b``
is their sum: 4 from the product and 2 + 2 from the sum, 8 in all. The pass must finish with ``c`` before it goes on
from ``b``, which is why it runs in reverse order of creation.
"""

from pathlib import Path

import tinygrad_lite as tg

a = tg.tensor(1.0, requires_grad=True, name="a")
b = a + a
c = b + b
d = b * c

lesson = tg.explain(d)
Path("fan_out.svg").write_text(lesson.to_svg())
