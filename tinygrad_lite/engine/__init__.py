"""The engine, to be read in fifteen minutes: operations, tensors and the reverse pass.

The files in the order in which a value flows: `op`, `arguments`, `registry`, `operators`, `tensor`, `conversions`,
`backward`. Beside them, `grad_mode` says whether operations are recorded.
"""

from tinygrad_lite.engine import registry as registry  # imported so that it hears of every declaration
