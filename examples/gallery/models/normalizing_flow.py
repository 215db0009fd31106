r"""
A normalising flow for two moons
================================

A flow turns normal noise z into data x by an invertible map, so you can compute its density and draw samples. A
coupling layer leaves one coordinate as it is, and scales and shifts the other by the outputs of a network on the first:

.. math:: x_a = z_a, \qquad x_b = z_b\, e^{s(z_a)} + t(z_a),
   \qquad \log \left| \det \frac{\partial x}{\partial z} \right| = s(z_a)

Its inverse is as simple, whatever the networks s and t are. Training maximises the density of the data.

L. Dinh, J. Sohl-Dickstein, S. Bengio (2017), Density estimation using Real NVP.
"""

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import make_moons

import tinygrad_lite as tg
from tinygrad_lite import nn, optim


class Coupling(nn.Module):
    def __init__(self, kept, width, rng):
        self.kept = kept
        self.network = nn.Sequential(
            nn.Linear(1, width, rng=rng),
            nn.Tanh(),
            nn.Linear(width, width, rng=rng),
            nn.Tanh(),
            nn.Linear(width, 2, rng=rng),
        )

    def scale_and_shift(self, a):
        s, t = np.moveaxis(self.network(a[:, np.newaxis]), -1, 0)
        return 2 * np.tanh(s / 2), t  # no layer stretches by more than e²

    def joined(self, a, b):
        return np.stack([a, b] if self.kept == 0 else [b, a], axis=-1)

    def forward(self, z):
        a, b = z[:, self.kept], z[:, 1 - self.kept]
        s, t = self.scale_and_shift(a)
        return self.joined(a, b * np.exp(s) + t)

    def inverse(self, x):
        """z, and the logarithm of |det ∂z/∂x|."""
        a, b = x[:, self.kept], x[:, 1 - self.kept]
        s, t = self.scale_and_shift(a)
        return self.joined(a, (b - t) * np.exp(-s)), -s


class Flow(nn.Module):
    def __init__(self, layers, width, rng):
        self.layers = [Coupling(i % 2, width, rng) for i in range(layers)]

    def forward(self, z):
        for layer in self.layers:
            z = layer(z)
        return z

    def log_density(self, x):
        """log p(x) = log N(z; 0, I) + log |det ∂z/∂x|"""
        total = 0.0
        for layer in reversed(self.layers):
            x, log_determinant = layer.inverse(x)
            total = total + log_determinant
        return total - np.sum(x**2, axis=-1) / 2 - np.log(2 * np.pi)


# %%
# Each epoch has 2,000 new points, in batches. No density can do better than the one that they are drawn from: two half
# circles, blurred by normal noise.

BLUR = 0.06
CENTRE = 0.5, 0.25


def moons(seed):
    return make_moons(2000, noise=BLUR, random_state=seed)[0] - CENTRE


def log_density_of_moons(x):
    """The mean over many points of the half circles, each with a normal density around it."""
    circles = make_moons(2000, shuffle=False)[0] - CENTRE
    squares = np.sum((x[:, np.newaxis] - circles) ** 2, axis=-1)
    return np.log(np.mean(np.exp(-squares / (2 * BLUR**2)), axis=-1) / (2 * np.pi * BLUR**2))


def main(epochs=200):
    rng = np.random.default_rng(0)
    flow = Flow(10, 24, rng)
    optimizer = optim.Adam(flow.parameters(), lr=0.01)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)

    @tg.compile
    def step(x):
        optimizer.zero_grad()
        loss = -np.mean(flow.log_density(x))
        loss.backward()
        optimizer.step()
        return loss

    for epoch in range(epochs):
        step.epochs([moons(epoch)], batch_size=250, rng=rng)
        schedule.step()

    test = moons(epochs)
    x, y = np.meshgrid(np.linspace(-2, 2, 300), np.linspace(-2, 2, 300))
    with tg.no_grad():
        achieved = flow.log_density(test).numpy().mean()
        density = np.exp(flow.log_density(np.stack([x.ravel(), y.ravel()], axis=-1)).numpy()).reshape(x.shape)
        stages = [rng.standard_normal((2000, 2))]
        for layer in flow.layers:
            stages.append(layer(stages[-1]).numpy())
    best = log_density_of_moons(test).mean()
    total = density.sum() * (x[0, 1] - x[0, 0]) * (y[1, 0] - y[0, 0])
    print(f"mean log density of new data: {achieved:.3f}; by the density that made them {best:.3f}")
    print(f"the density of the flow integrates to {total:.3f}")
    draw(stages, x, y, density)
    return {"reached": achieved, "best": best, "total": total}


def draw(stages, x, y, density):
    figure = Figure(figsize=(10, 2.8), layout="constrained")
    panels = figure.subplots(1, 4)
    shown = (0, "Noise"), (5, "After five layers"), (10, "After ten: samples")
    for axes, (stage, title) in zip(panels, shown):
        axes.scatter(*stages[stage].T, c=stages[0][:, 0], cmap="cividis", s=2)
        axes.set(title=title)
    panels[3].pcolormesh(x, y, density, cmap="Blues", shading="gouraud")
    panels[3].set(title="Its density")
    for axes, reach in zip(panels, (3.8, 3.8, 2, 2)):
        axes.axis((-reach, reach, -reach, reach))
        axes.set(xticks=[], yticks=[], aspect="equal")
    figure.savefig("normalizing_flow.png", dpi=120)


# %%
# A sample keeps the colour that it had as noise, which shows where the layers move it. A map without jumps cannot cut
# a cloud into two, so a thin thread remains between the moons.

if __name__ == "__main__":
    main()
