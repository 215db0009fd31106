"""
A training curve
================

Plain gradient descent and Adam train the heart-disease network from the same first weights. An optimiser consists of
its update formula, so the two runs differ in one line.
"""

import numpy as np
from matplotlib.figure import Figure

import tinygrad_lite as tg
from tinygrad_lite import nn, optim

data, disease = tg.datasets.load_heart(return_X_y=True)
patients = tg.tensor((data - data.mean(axis=0)) / data.std(axis=0))
target = tg.tensor(disease[:, np.newaxis].astype(float))


def losses_with(optimizer_of):
    model = nn.Sequential(nn.Linear(13, 8, rng=0), nn.ReLU(), nn.Linear(8, 1, rng=1))
    optimizer = optimizer_of(model.parameters())
    losses = []
    for _ in range(200):
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(model(patients), target)
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    return losses


figure = Figure(figsize=(7, 4), layout="constrained")
axes = figure.subplots()
axes.plot(losses_with(lambda parameters: optim.SGD(parameters, lr=0.3)), "-", label="SGD, lr 0.3")
axes.plot(losses_with(lambda parameters: optim.Adam(parameters, lr=0.01)), "--", label="Adam, lr 0.01")
axes.set(xlabel="step", ylabel="mean cross-entropy", title="270 patients, a 13-8-1 network")
axes.grid(alpha=0.3)
axes.legend()
figure.savefig("training_curve.png", dpi=120)
