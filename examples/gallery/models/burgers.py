r"""
Burgers' equation, solved by a network
======================================

A physics-informed network is trained without a single value of the solution: the loss is how far the network is from
solving the equation

.. math:: \partial_t u + u\, \partial_x u = \nu\, \partial_{xx} u,
   \qquad u(0, x) = -\sin \pi x, \qquad u(t, \pm 1) = 0,

so a second derivative of the network stands inside the loss, and training differentiates it once more. The wave
steepens into a shock in the middle. For this start J. Cole and E. Hopf found the exact solution, with which we compare.

M. Raissi, P. Perdikaris, G. E. Karniadakis (2019), Physics-informed neural networks, J. Comput. Phys. 378.
"""

import numpy as np
from matplotlib.figure import Figure

import tinygrad_lite as tg
from tinygrad_lite import nn, optim

VISCOSITY = 0.01


class Solution(nn.Module):
    """u(t, x) = -sin πx + t (1 - x²) N(t, x): it meets the initial and boundary conditions for any network N."""

    def __init__(self, width, rng):
        tanh = nn.Tanh()
        layers = [layer for _ in range(3) for layer in (nn.Linear(width, width, rng=rng), tanh)]
        self.network = nn.Sequential(nn.Linear(2, width, rng=rng), tanh, *layers, nn.Linear(width, 1, rng=rng))

    def forward(self, t, x):
        return -np.sin(np.pi * x) + t * (1 - x**2) * self.network(np.stack([t, x], axis=-1))[..., 0]


# %%
# The residual is the equation, with everything on one side. Every point is its own problem, so a tangent of ones gives
# the derivative at all points at once. The derivative of the derivative is the same call around the first one.


def derivative(f):
    """f and f′, entry by entry, by forward mode."""
    return lambda x: tg.jvp(f, (x,), (np.ones_like(x),))


def residual(u, t, x):
    (value, u_x), (_, u_xx) = derivative(derivative(lambda x: u(t, x)))(x)
    _, u_t = derivative(lambda t: u(t, x))(t)
    return u_t + value * u_x - VISCOSITY * u_xx


# %%
# The exact solution is a quotient of two integrals, which 100 nodes of Gauss-Hermite quadrature give to all digits.


def exact(t, x):
    nodes, weights = np.polynomial.hermite.hermgauss(100)
    y = x[..., np.newaxis] - nodes * np.sqrt(4 * VISCOSITY * t[..., np.newaxis])
    heat = weights * np.exp(-(1 + np.cos(np.pi * y)) / (2 * np.pi * VISCOSITY))
    return -np.sum(heat * np.sin(np.pi * y), axis=-1) / np.sum(heat, axis=-1)


# %%
# A step draws 500 new points. The compiled function draws them itself, so `repeat` runs 40 steps without
# returning to Python.


def main(rounds=100):
    rng = np.random.default_rng(0)
    u = Solution(20, rng)
    optimizer = optim.Adam(u.parameters(), lr=0.005)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=rounds)

    @tg.compile
    def step():
        optimizer.zero_grad()
        t, x = rng.uniform(0, 1, size=500), rng.uniform(-1, 1, size=500)
        loss = np.mean(residual(u, t, x) ** 2)
        loss.backward()
        optimizer.step()
        return loss

    losses = []
    for _ in range(rounds):
        losses.append(step.repeat(40).numpy())
        schedule.step()

    t, x = np.meshgrid(np.linspace(0, 1, 101), np.linspace(-1, 1, 201), indexing="ij")
    with tg.no_grad():
        predicted, expected = u(t, x).numpy(), exact(t, x)
    error = np.linalg.norm(predicted - expected) / np.linalg.norm(expected)
    print(f"residual {np.mean(losses[0]):.4f} in the first 40 steps, {np.mean(losses[-1]):.6f} in the last")
    print(f"error of u: {100 * error:.2f} % of its norm, {np.max(np.abs(predicted - expected)):.3f} at most")
    draw(t, x, predicted, expected)
    return error


def draw(t, x, predicted, expected):
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    field, slices = figure.subplots(1, 2, width_ratios=(3, 2))
    image = field.pcolormesh(t, x, predicted, cmap="PuOr", shading="gouraud", vmin=-1, vmax=1)
    figure.colorbar(image, ax=field, label="u")
    field.set(xlabel="t", ylabel="x", title="The network's solution")
    for row, color in zip((0, 25, 50, 100), ("#000000", "#0072b2", "#009e73", "#d55e00")):
        field.axvline(t[row, 0], color=color, linestyle=":", linewidth=1.5)
        slices.plot(x[row], expected[row], color=color, linewidth=4, alpha=0.3)
        slices.plot(x[row], predicted[row], color=color, linewidth=1.2, label=f"t = {t[row, 0]:.2f}")
    slices.set(xlabel="x", ylabel="u", title="Network (thin) and exact (broad)")
    slices.grid(alpha=0.3)
    slices.legend()
    figure.savefig("burgers.png", dpi=120)


# %%
# Left, the whole solution; the wave runs into the middle from both sides. Right, at four times, the network's solution
# lies on the exact one.

if __name__ == "__main__":
    main()
