"""The heart-disease network of 13, 8 and 1 units, trained for a few steps, to explain.

Run it as it is, or with `python -m tinygrad_lite explain examples/heart_lesson.py`.
"""

import numpy as np

import tinygrad_lite as tg
from tinygrad_lite import nn, optim


class Heart(nn.Module):
    def __init__(self):
        self.hidden = nn.Linear(13, 8, rng=0)
        self.output = nn.Linear(8, 1, rng=1)

    def forward(self, x):
        activation = nn.functional.relu(self.hidden(x))
        return self.output(activation)


x, disease = tg.datasets.load_heart(return_X_y=True)
patients = (x - x.mean(axis=0)) / x.std(axis=0)
target = disease[:, np.newaxis].astype(float)

model = Heart()
optimizer = optim.SGD(model.parameters(), lr=0.5)
for _ in range(20):
    optimizer.zero_grad()
    logits = model(patients)
    loss = nn.functional.binary_cross_entropy_with_logits(logits, target)
    loss.backward()
    optimizer.step()
print(f"loss {loss:.4f}")
