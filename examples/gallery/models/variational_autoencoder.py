r"""
A variational autoencoder arranges digits on a plane
====================================================

An encoder turns each image x into a normal density q(z | x) on a plane, and a decoder turns each point z of the plane
into a density p(x | z) of images. Both learn to raise a lower bound of the probability of the images:

.. math:: \log p(x) \ge \mathbb{E}_{q(z \mid x)} \log p(x \mid z)
   - \mathrm{KL} \bigl( q(z \mid x) \,\|\, N(0, I) \bigr)

One point z = μ + σ ε stands for the expectation, and the gradient goes through it to μ and σ. In scikit-learn's digits,
a pixel counts how many of 4 × 4 finer ones are black, so its density is a binomial one. The model never learns which
digit it is.

D. P. Kingma, M. Welling (2014), Auto-encoding variational Bayes.
"""

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import tinygrad_lite as tg
from tinygrad_lite import nn, optim
from tinygrad_lite.distributions import Binomial, Normal, kl_divergence


class Autoencoder(nn.Module):
    def __init__(self, hidden, rng):
        self.rng = rng
        self.encoder = nn.Sequential(nn.Linear(64, hidden, rng=rng), nn.ReLU(), nn.Linear(hidden, 4, rng=rng))
        self.decoder = nn.Sequential(
            nn.Linear(2, hidden, rng=rng),
            nn.ReLU(),
            nn.Linear(hidden, hidden, rng=rng),
            nn.ReLU(),
            nn.Linear(hidden, 64, rng=rng),
        )

    def encode(self, x):
        mean, log_scale = np.split(self.encoder(x / 16), 2, axis=-1)
        return Normal(mean, np.exp(log_scale))

    def decode(self, z):
        return Binomial(16, logits=self.decoder(z))

    def forward(self, x):
        """The lower bound of log p(x), for each image."""
        q = self.encode(x)
        z = q.rsample(rng=self.rng)
        return np.sum(self.decode(z).log_prob(x), axis=-1) - np.sum(kl_divergence(q, Normal(0.0, 1.0)), axis=-1)


# %%
# The compiled step draws ε anew each time, from the model's generator.


def main(epochs=60):
    rng = np.random.default_rng(0)
    images, digits = load_digits(return_X_y=True)
    known, new, _, new_digits = train_test_split(images, digits, stratify=digits, random_state=0)
    model = Autoencoder(128, rng)
    optimizer = optim.Adam(model.parameters(), lr=0.003)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)

    @tg.compile
    def step(x):
        optimizer.zero_grad()
        loss = -np.mean(model(x))
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(epochs):
        losses = step.epochs([known], batch_size=64, rng=rng)
        schedule.step()

    with tg.no_grad():
        bound = np.mean(model(new)).item()
        codes = model.encode(new).mean.numpy()
        quantiles = Normal(0.0, 1.0).icdf(np.linspace(0.03, 0.97, 12))
        grid = np.stack(np.meshgrid(quantiles, quantiles[::-1]), axis=-1)
        pictures = model.decode(grid).probs.numpy().reshape(12, 12, 8, 8)
    mean = (known.sum(axis=0) + 1) / (16 * len(known) + 2)  # never 0 or 1
    alone = np.mean(np.sum(Binomial(16, mean).log_prob(new), axis=-1))
    print(f"lower bound of log p(x): {-losses.numpy().mean():.1f} in training, {bound:.1f} for new images")
    print(f"log p(x) of new images if each pixel were independent of the others: {alone:.1f}")
    draw(codes, new_digits, pictures)
    return {"bound": bound, "independent": alone}


def draw(codes, digits, pictures):
    figure = Figure(figsize=(10, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for digit in range(10):
        for x, y in codes[digits == digit]:
            left.text(x, y, str(digit), color=f"C{digit}", fontsize=7, ha="center", va="center")
    reach = np.abs(codes).max() * 1.05
    left.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    left.set(xlabel="first coordinate", ylabel="second coordinate", title="Where the encoder puts new images")
    left.grid(alpha=0.3)
    framed = np.pad(pictures, ((0, 0), (0, 0), (1, 1), (1, 1)))
    right.imshow(np.block([list(row) for row in framed]), cmap="gray_r")
    right.set(xticks=[], yticks=[], title="What the decoder draws across the plane")
    figure.savefig("variational_autoencoder.png", dpi=120)


# %%
# Left: each numeral is an image that the model has not seen, and says what a person would read. Right: the plane in
# steps of equal probability. Digits that look alike are neighbours, and one turns into the other.

if __name__ == "__main__":
    main()
