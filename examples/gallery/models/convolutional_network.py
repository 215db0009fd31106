"""
A convolutional network reads digits
====================================

The 1,797 handwritten digits that come with scikit-learn are 8 × 8 pixels each. A network of three convolutions, each
with batch normalisation, learns from three quarters of them, and reads the rest.

Y. LeCun, L. Bottou, Y. Bengio, P. Haffner (1998), Gradient-based learning applied to document recognition. S. Ioffe,
C. Szegedy (2015), Batch normalization.
"""

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import tinygrad_lite as tg
from tinygrad_lite import nn, optim
from tinygrad_lite.nn import functional as F


class Reader(nn.Module):
    def __init__(self, channels, **options):
        self.features = nn.Sequential(
            *self.convolution(1, channels, **options),
            *self.convolution(channels, 2 * channels, **options),
            nn.MaxPool2d(2),
            *self.convolution(2 * channels, 2 * channels, **options),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        self.dropout = nn.Dropout(0.25, rng=options["rng"])
        self.output = nn.Linear(2 * 2 * 2 * channels, 10, **options)

    @staticmethod
    def convolution(in_channels, out_channels, dtype, rng):
        layer = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, dtype=dtype, rng=rng)
        return layer, nn.BatchNorm2d(out_channels, dtype=dtype), nn.ReLU()

    def forward(self, images):
        return self.output(self.dropout(self.features(images)))


# %%
# The compiled step draws what dropout leaves out, and writes the running statistics of batch normalisation, as the
# uncompiled step does.


def main(epochs=20):
    rng = np.random.default_rng(0)
    images, digits = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    known, new, known_digits, new_digits = train_test_split(images, digits, stratify=digits, random_state=0)

    model = Reader(16, dtype=np.float32, rng=rng)
    optimizer = optim.AdamW(model.parameters(), lr=0.003)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)

    @tg.compile
    def step(images, digits):
        optimizer.zero_grad()
        logits = model(images)
        loss = F.cross_entropy(logits, digits)
        loss.backward()
        optimizer.step()
        return loss, np.mean(np.argmax(logits, axis=-1) == digits)

    @tg.no_grad()
    def probabilities(images):
        model.eval()
        result = F.softmax(model(images), axis=-1).numpy()
        model.train()
        return result

    accuracies = []
    for _ in range(epochs):
        _, right = step.epochs([known, known_digits], batch_size=64, rng=rng, drop_last=True)
        schedule.step()
        accuracies.append((np.mean(right), np.mean(probabilities(new).argmax(axis=-1) == new_digits)))

    predicted = probabilities(new)
    wrong = np.flatnonzero(predicted.argmax(axis=-1) != new_digits)
    print(model)
    print(f"{100 * accuracies[-1][1]:.2f} % of {len(new)} new digits are read right, {len(wrong)} wrong")
    draw(np.array(accuracies), new, new_digits, predicted)
    return accuracies[-1][1]


def draw(accuracies, images, digits, predicted):
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(2, 3))
    axes = left.subplots()
    for curve, style, name in zip(100 * accuracies.T, ("--", "-"), ("in training", "new digits")):
        axes.plot(np.arange(1, len(curve) + 1), curve, style, label=name)
    axes.set(xlabel="epoch", ylabel="read right [%]", title="While it learns", ylim=(90, 100.2))
    axes.grid(alpha=0.3)
    axes.legend()
    hardest = np.argsort(predicted[np.arange(len(digits)), digits])[:10]
    for axes, i in zip(right.subplots(2, 5).flat, hardest):
        axes.imshow(images[i, 0], cmap="gray_r")
        guess = predicted[i].argmax()
        color = "black" if guess == digits[i] else "#d55e00"
        axes.set_title(
            f"{digits[i]}, read as {guess}\n({100 * predicted[i, guess]:.0f} %)", color=color, fontsize="small"
        )
        axes.set(xticks=[], yticks=[])
    right.suptitle("The ten new digits that it finds hardest")
    figure.savefig("convolutional_network.png", dpi=120)


# %%
# Left: after three epochs, 98 of 100 new digits are read right. Right: the ten digits to which the network gives the
# least probability, and what it reads instead; those that it misreads are orange.

if __name__ == "__main__":
    main()
