"""
An LSTM learns the Zen of Python by heart
=========================================

The network reads a text character by character, and predicts the next one from what it remembers. What it remembers is
a state of 128 numbers and 128 more, which the gates of the LSTM keep, overwrite and show. Given the title, it should
write the whole text. For that it must remember over many lines: "If the implementation is" occurs twice, and goes on in
two ways.

S. Hochreiter, J. Schmidhuber (1997), Long short-term memory, Neural Computation 9.
"""

import codecs
import contextlib
import io

import numpy as np
from matplotlib.figure import Figure

import tinygrad_lite as tg
from tinygrad_lite import nn, optim
from tinygrad_lite.nn import functional as F

with contextlib.redirect_stdout(io.StringIO()):
    import this  # prints the text

ZEN = codecs.decode(this.s, "rot13") + "\n"
LETTERS = sorted(set(ZEN))
CODES = np.array([LETTERS.index(letter) for letter in ZEN])
EARLY = 60  # the step of the picture


class Writer(nn.Module):
    def __init__(self, letters, width, **options):
        self.embedding = nn.Embedding(letters, 32, **options)
        self.lstm = nn.LSTM(32, width, batch_first=True, **options)
        self.output = nn.Linear(width, letters, **options)

    def forward(self, codes, state=None):
        """The logits of the next letters, and the state behind the last one."""
        hidden, state = self.lstm(self.embedding(codes), state)
        return self.output(hidden), state


# %%
# Eight readers begin at different places in the text, and go on where they stopped. So the state that a step returns is
# an argument of the next one. The gradient goes back 64 characters; memory may last longer.


def main(steps=300, readers=8, length=64):
    rng = np.random.default_rng(0)
    model = Writer(len(LETTERS), 128, dtype=np.float32, rng=rng)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)

    @tg.compile
    def step(codes, state):
        optimizer.zero_grad()
        logits, state = model(codes[:, :-1], state)
        loss = F.cross_entropy(logits.reshape(-1, len(LETTERS)), codes[:, 1:].reshape(-1))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        optimizer.step()
        return loss, tuple(part.detach() for part in state)

    position = np.arange(readers) * len(ZEN) // readers
    state = tuple(np.zeros((1, readers, 128), np.float32) for _ in range(2))
    losses = []
    for i in range(steps):
        codes = CODES[(position[:, np.newaxis] + np.arange(length + 1)) % len(ZEN)]
        position += length
        loss, state = step(codes, state)
        schedule.step()
        losses.append(float(loss) / np.log(2))
        if i == min(EARLY, steps) - 1:
            surprise = bits(model)

    title = ZEN.index("\n")
    written = recited(model, ZEN[:title])
    right = next((i for i, (a, b) in enumerate(zip(written, ZEN)) if a != b), len(ZEN))
    print(written[:330], "[…]", sep="\n")
    print(f"{right} of {len(ZEN)} letters without a mistake, of which {title} were given")
    draw(losses, surprise)
    return right == len(ZEN)


@tg.no_grad()
def recited(model, text):
    """The text, and what the model finds most probable after it, up to the length of the Zen."""
    codes = [LETTERS.index(letter) for letter in text]
    logits, state = model(np.array([codes]))
    while len(codes) < len(ZEN):
        codes.append(logits.numpy()[0, -1].argmax())
        logits, state = model(np.array([codes[-1:]]), state)
    return "".join(LETTERS[code] for code in codes)


@tg.no_grad()
def bits(model):
    """How surprising each letter but the first is: -log₂ of its probability."""
    logits, _ = model(CODES[np.newaxis, :-1])
    return F.cross_entropy(logits[0], CODES[1:], reduction="none").numpy() / np.log(2)


def draw(losses, surprise):
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    curve, page = figure.subplots(1, 2, width_ratios=(1, 2))
    curve.plot(np.arange(1, len(losses) + 1), losses)
    curve.axvline(EARLY, color="#d55e00", linestyle=":")
    curve.set(xlabel="step", ylabel="bits per letter", yscale="log", title="While it learns")
    curve.grid(alpha=0.3)
    lines = ZEN.splitlines()
    squares = np.full((len(lines), max(map(len, lines))), np.nan)
    start = 0
    for row, line in enumerate(lines):
        for column, letter in enumerate(line):
            if start + column:
                squares[row, column] = surprise[start + column - 1]
            page.text(column, row, letter, ha="center", va="center", family="monospace", fontsize=6.5)
        start += len(line) + 1
    image = page.imshow(squares, cmap="Oranges", vmin=0, vmax=8, aspect="auto")
    page.set(xticks=[], yticks=[], title=f"How surprising each letter is after {EARLY} steps")
    page.spines[:].set_visible(False)
    figure.colorbar(image, ax=page, label="bits", shrink=0.6)
    figure.savefig("character_lstm.png", dpi=120)


# %%
# Right: after 60 steps, most ends of words are no longer a surprise, nor is "is better than". Dark letters begin words,
# above all where the text could go on in several ways, as after "If the implementation is".

if __name__ == "__main__":
    main()
