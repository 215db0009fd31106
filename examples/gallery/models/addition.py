r"""
A small GPT learns to add
=========================

A sum of two numbers with three digits is a text of ten characters, such as ``3 8 5 2 7 6 1 6 6 0`` for 385 + 276 = 661.
(The sum comes with its last digit first, as you add on paper.) A GPT reads a text from the left, and says what comes
next. Nobody tells it what the digits mean, or what to carry. There are a million such sums. It sees 10,000 of them, and
then adds numbers that it has never seen.

Each block has attention, in which a position asks those before it, and a network for each position, both beside a
shortcut:

.. math:: x \leftarrow x + \operatorname{attention}(\operatorname{norm}(x)), \qquad
   x \leftarrow x + \operatorname{mlp}(\operatorname{norm}(x))

A. Radford et al. (2019), Language models are unsupervised multitask learners. The task is one of A. Karpathy's minGPT.
"""

import numpy as np
from matplotlib.figure import Figure

import tinygrad_lite as tg
from tinygrad_lite import nn, optim
from tinygrad_lite.nn import functional as F

DIGITS = 3
QUESTION = 2 * DIGITS  # how many characters the two numbers have


class Block(nn.Module):
    def __init__(self, width, heads, **options):
        self.heads = heads
        self.norm1 = nn.LayerNorm(width, dtype=options["dtype"])
        self.query_key_value = nn.Linear(width, 3 * width, **options)
        self.output = nn.Linear(width, width, **options)
        self.norm2 = nn.LayerNorm(width, dtype=options["dtype"])
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width, **options), nn.GELU(), nn.Linear(4 * width, width, **options)
        )

    def split(self, x):
        """Queries, keys and values, each (texts, heads, positions, width of a head)."""
        texts, positions, width = x.shape
        parts = self.query_key_value(x).reshape(texts, positions, 3, self.heads, width // self.heads)
        return np.moveaxis(parts, (2, 3), (0, 2))

    def attention(self, x):
        heads = F.scaled_dot_product_attention(*self.split(x), is_causal=True)
        return self.output(np.swapaxes(heads, 1, 2).reshape(x.shape))

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    def __init__(self, characters, length, width, heads, depth, **options):
        self.token = nn.Embedding(characters, width, **options)
        self.position = nn.Embedding(length, width, **options)
        self.blocks = [Block(width, heads, **options) for _ in range(depth)]
        self.norm = nn.LayerNorm(width, dtype=options["dtype"])
        self.head = nn.Linear(width, characters, **options)

    def forward(self, text):
        x = self.token(text) + self.position(np.arange(text.shape[-1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


# %%
# The texts, and how the model answers: it appends the most probable digit, and reads the text again.


def texts(a, b):
    def digits(number, count):
        return [number // 10**i % 10 for i in range(count)]

    return np.stack(digits(a, DIGITS)[::-1] + digits(b, DIGITS)[::-1] + digits(a + b, DIGITS + 1), axis=-1)


@tg.no_grad()
def completed(model, text):
    for _ in range(DIGITS + 1):
        text = np.column_stack([text, model(text).numpy()[:, -1].argmax(axis=-1)])
    return text


# %%
# The loss counts the digits of the sum only, since nobody can know the question.


def main(rounds=50, held_out=2_000):
    rng = np.random.default_rng(0)
    every = rng.permutation(10 ** (2 * DIGITS))[: 10_000 + held_out]
    known, new = np.split(texts(*np.divmod(every, 10**DIGITS)), [10_000])
    model = GPT(10, QUESTION + DIGITS, width=64, heads=4, depth=2, dtype=np.float32, rng=rng)
    optimizer = optim.AdamW(model.parameters(), lr=0.003)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.003, total_steps=rounds, pct_start=0.2)

    @tg.compile
    def step(text):
        optimizer.zero_grad()
        logits = model(text[:, :-1])[:, QUESTION - 1 :]
        loss = F.cross_entropy(logits.reshape(-1, 10), text[:, QUESTION:].reshape(-1))
        loss.backward()
        optimizer.step()
        return loss

    right = []
    for _ in range(rounds):
        step.epochs([rng.choice(known, 1280)], batch_size=64, rng=rng)
        schedule.step()
        with tg.no_grad():
            digits = model(new[:500, :-1]).numpy()[:, QUESTION - 1 :].argmax(axis=-1)
        right.append(np.mean(digits == new[:500, QUESTION:], axis=0))

    answers = completed(model, new[:, :QUESTION])
    exact = np.sum(np.all(answers == new, axis=-1))
    for row in answers[:3]:
        a, b, total = ("".join(map(str, part)) for part in (row[:3], row[3:6], row[:5:-1]))
        print(f"{a} + {b} = {total}")
    print(f"{exact:,} of {len(new):,} new sums are right in all digits")
    draw(np.array(right), model, new[:500, :-1])
    return exact / len(new)


# %%
# Attention applied to the rows of the identity shows how much each position attends to the others.


@tg.no_grad()
def weights(model, text):
    """For each block (heads, positions, positions), on average over texts."""
    x = model.token(text) + model.position(np.arange(text.shape[-1]))
    heads = []
    for block in model.blocks:
        query, key, _ = block.split(block.norm1(x))
        identity = np.eye(text.shape[-1], dtype=np.float32)
        heads.append(F.scaled_dot_product_attention(query, key, identity, is_causal=True).numpy().mean(axis=0))
        x = block(x)
    return heads


def draw(right, model, text):
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right_side = figure.subfigures(1, 2, width_ratios=(2, 3))
    axes = left.subplots()
    names = "ones", "tens", "hundreds", "thousands"
    colors, styles = ("#000000", "#0072b2", "#d55e00", "#009e73"), ("-", "--", "-.", ":")
    for name, curve, color, style in zip(names, 100 * right.T, colors, styles):
        axes.plot(20 * np.arange(1, len(curve) + 1), curve, style, color=color, label=name)
    axes.set(xlabel="step", ylabel="right digits of new sums [%]", title="What it learns when")
    axes.grid(alpha=0.3)
    axes.legend()
    panels = right_side.subplots(4, 2, sharex=True, sharey=True)
    for block, heads in enumerate(weights(model, text)):
        for panel, head in zip(panels[:, block], heads):
            image = panel.imshow(head[QUESTION - 1 :], cmap="cividis", vmin=0, vmax=1, aspect="auto")
            panel.set_xticks(range(9), ["a₂", "a₁", "a₀", "b₂", "b₁", "b₀", "s₀", "s₁", "s₂"])
            panel.set_yticks(range(4), ["s₀", "s₁", "s₂", "s₃"], fontsize="small")
        panels[0, block].set(title=f"Heads of block {block + 1}")
    right_side.supxlabel("digit that is read", fontsize="medium")
    right_side.supylabel("digit that is computed", fontsize="medium")
    right_side.colorbar(image, ax=panels, label="attention")
    figure.savefig("addition.png", dpi=120)


# %%
# Left: the ones need no carry and come first; the tens and the hundreds come with the carry. Right: to compute a digit
# of the sum, the model reads the two digits above it, and those from which a carry may come.

if __name__ == "__main__":
    main()
