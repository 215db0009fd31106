"""
A function and three derivatives
================================

The gradient of a function is a function, so it has a gradient as well. None of the three derivatives is a difference
quotient: each is exact up to rounding.
"""

import numpy as np
from matplotlib.figure import Figure

import tinygrad_lite as tg


def f(x):
    return np.sin(x) * np.exp(x) / (1 + x**2)


x = np.linspace(-4, 4, 200)
figure = Figure(figsize=(7, 4), layout="constrained")
axes = figure.subplots()
for name, style in zip(("f", "f′", "f″", "f‴"), ("-", "--", "-.", ":")):
    axes.plot(x, [f(number) for number in x], style, label=name)
    f = tg.grad(f)
axes.set(xlabel="x", title="sin(x) exp(x) / (1 + x²)")
axes.grid(alpha=0.3)
axes.legend()
figure.savefig("derivatives.png", dpi=120)
