"""
Where a gradient is wrong
=========================

This gradient was derived by hand. For ``w1``, the derivative of tanh is wrong in two of the eight units. The heat
maps show the error of every entry relative to the largest gradient of its array, in powers of ten. Dark entries agree
with the reference to the last digits; the two bright columns, with a cross on each entry, are the mistake.
"""

import numpy as np

import tinygrad_lite as tg

data, disease = tg.datasets.load_heart(return_X_y=True)
x = ((data - data.mean(axis=0)) / data.std(axis=0))[:40]
t = disease[:40, np.newaxis]
rng = np.random.default_rng(0)
parameters = {"w1": rng.normal(size=(13, 8)) / 4, "w2": rng.normal(size=(8, 1)) / 3}


def loss(p):
    z = np.tanh(x @ p["w1"]) @ p["w2"]
    return np.mean(np.logaddexp(0, z) - t * z)


def gradient(p):
    h = np.tanh(x @ p["w1"])
    dz = (1 / (1 + np.exp(-(h @ p["w2"]))) - t) / len(x)
    slope = 1 - h**2
    slope[:, [2, 5]] = 1 - h[:, [2, 5]]
    return {"w1": x.T @ (dz @ p["w2"].T * slope), "w2": h.T @ dz}


report = tg.gradcheck(loss, parameters, gradient=gradient, raise_exception=False)
report.plot().savefig("gradient_check.png", dpi=120)

# %%
# In words:

print(report)

# %%
# Taylor's formula shows the mistake as well. Along a random direction, the distance of f(x + h·d) − f(x) from h·g·d
# falls as h² if g is the gradient. It falls as h for ``w1``, and as h² for ``w2``, until only rounding is left:

report.plot("taylor").savefig("taylor.png", dpi=120)

# %%
# No difference comes closer to the gradient of ``w1`` than that gradient's own error. For ``w2``, forward differences
# find 8 digits if the step is right, central ones 11, extrapolation 13, and the complex step all of them, as long as it
# is small:

report.plot("steps").savefig("steps.png", dpi=120)
