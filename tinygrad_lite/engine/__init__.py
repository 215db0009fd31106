"""What one reads in fifteen minutes: an operation, a value with a history, and the reverse pass.

In the order in which a value flows: `op`, `arguments`, `registry`, `operators`, `tensor`, `conversions`, `backward`.
"""

from tinygrad_lite.engine import registry as registry  # which hears of every declaration
