r"""
A graph network, and how a karate club split
============================================

Wayne Zachary watched a karate club of 34 members for two years, and noted who met whom outside its classes. Then the
instructor and the president fell out, and the club split in two. The network knows the friendships, and on which side
two people are: the two who quarrelled. It predicts the other 32.

In a layer, each member receives what its friends and itself send, each message divided by the roots of both degrees:

.. math:: h_i' = \tanh \Bigl( W \sum_{j \in N(i) \cup \{i\}} \frac{h_j}{\sqrt{d_i d_j}} + b \Bigr)

T. Kipf, M. Welling (2017), Semi-supervised classification with graph convolutional networks. W. Zachary (1977), An
information flow model for conflict and fission in small groups, J. Anthropol. Res. 33.
"""

import numpy as np
from matplotlib.figure import Figure
from scipy.optimize import minimize
from scipy.sparse.csgraph import shortest_path

import tinygrad_lite as tg
from tinygrad_lite import nn, optim

FRIENDS = {
    0: "1 2 3 4 5 6 7 8 10 11 12 13 17 19 21 31",
    1: "2 3 7 13 17 19 21 30",
    2: "3 7 8 9 13 27 28 32",
    3: "7 12 13",
    4: "6 10",
    5: "6 10 16",
    6: "16",
    8: "30 32 33",
    9: "33",
    13: "33",
    14: "32 33",
    15: "32 33",
    18: "32 33",
    19: "33",
    20: "32 33",
    22: "32 33",
    23: "25 27 29 32 33",
    24: "25 27 31",
    25: "31",
    26: "29 33",
    27: "33",
    28: "31 33",
    29: "32 33",
    30: "32 33",
    31: "32 33",
    32: "33",
}
EDGES = np.array([(i, int(j)) for i, friends in FRIENDS.items() for j in friends.split()]).T
INSTRUCTOR, PRESIDENT = 0, 33
WITH_PRESIDENT = np.isin(np.arange(34), [9, 14, 15, 18, 20, *range(22, 34)])

# %%
# Messages go along every edge both ways, and from each member to itself. A gather, `h[sender]`, reads what is sent, and
# `at[receiver].add` adds up the messages that arrive.

ITSELF = np.arange(34)
SENDER = np.concatenate([EDGES[0], EDGES[1], ITSELF])
RECEIVER = np.concatenate([EDGES[1], EDGES[0], ITSELF])
DEGREE = np.bincount(RECEIVER)
SHARE = 1 / np.sqrt(DEGREE[SENDER] * DEGREE[RECEIVER])[:, np.newaxis]


class GraphConvolution(nn.Module):
    def __init__(self, in_features, out_features, rng):
        self.linear = nn.Linear(in_features, out_features, rng=rng)

    def forward(self, h):
        messages = h[SENDER] * SHARE
        received = tg.tensor(np.zeros(h.shape)).at[RECEIVER].add(messages)
        return np.tanh(self.linear(received))


class Club(nn.Module):
    def __init__(self, rng):
        self.layers = [GraphConvolution(34, 4, rng), GraphConvolution(4, 4, rng), GraphConvolution(4, 2, rng)]
        self.side = nn.Linear(2, 1, rng=rng)

    def forward(self):
        h = np.eye(34)  # the only thing known about a member is who it is
        for layer in self.layers:
            h = layer(h)
        return self.side(h)[:, 0]


# %%
# The loss looks at two members. The step also returns what the network thinks of all 34.


def main(steps=200):
    club = Club(np.random.default_rng(0))
    optimizer = optim.Adam(club.parameters(), lr=0.01)
    known = np.array([INSTRUCTOR, PRESIDENT])

    @tg.compile
    def step():
        optimizer.zero_grad()
        logits = club()
        loss = nn.functional.binary_cross_entropy_with_logits(logits[known], np.array([0.0, 1.0]))
        loss.backward()
        optimizer.step()
        return loss, nn.functional.sigmoid(logits.detach())

    losses, probabilities = (array.numpy() for array in step.repeat(steps))
    wrong = np.flatnonzero((probabilities[-1] > 0.5) != WITH_PRESIDENT)
    print(f"loss {losses[0]:.3f} in the first step, {losses[-1]:.3f} in the last")
    print(f"{34 - len(wrong)} of 34 members on the right side; wrong: {wrong}")
    draw(probabilities, wrong)
    return list(wrong)


# %%
# Positions for the picture come from a gradient, too: distances on paper should be distances in the graph.


def layout():
    distance = shortest_path(np.bincount(34 * EDGES[0] + EDGES[1], minlength=34**2).reshape(34, 34), directed=False)
    first, second = np.triu_indices(34, 1)

    def stress(flat):
        positions = flat.reshape(34, 2)
        gap = np.linalg.norm(positions[first] - positions[second], axis=-1)
        return np.sum((gap / distance[first, second] - 1) ** 2)

    start = np.random.default_rng(0).normal(size=68)
    return minimize(tg.value_and_grad(stress), start, jac=True).x.reshape(34, 2)


def draw(probabilities, wrong):
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    curves, graph = figure.subplots(1, 2, width_ratios=(2, 3))
    for member, curve in enumerate(probabilities.T):
        color, style = ("#d95f02", "--") if WITH_PRESIDENT[member] else ("#5e3c99", "-")
        name = {INSTRUCTOR: "instructor", PRESIDENT: "president"}.get(member)
        curves.plot(curve, style, color=color, linewidth=3 if name else 0.8, label=name)
    curves.axhline(0.5, color="#999999", linewidth=0.8)
    curves.set(xlabel="step", ylabel="probability of the president's side", title="Each member while training")
    curves.legend(loc="center right", fontsize="small")

    positions = layout()
    graph.plot(*positions[EDGES].transpose(2, 0, 1), color="#aaaaaa", linewidth=0.8, zorder=1)
    colors = {"cmap": "PuOr_r", "vmin": 0, "vmax": 1, "edgecolors": "black", "zorder": 2}
    sides = (~WITH_PRESIDENT, "o", "went with the instructor"), (WITH_PRESIDENT, "s", "went with the president")
    for members, marker, name in sides:
        points = graph.scatter(
            *positions[members].T, c=probabilities[-1][members], marker=marker, s=90, label=name, **colors
        )
    for leader, name, offset in (INSTRUCTOR, "instructor", -18), (PRESIDENT, "president", 10):
        graph.annotate(
            name, positions[leader], xytext=(0, offset), textcoords="offset points", ha="center", weight="bold"
        )
    graph.scatter(*positions[wrong].T, facecolors="none", edgecolors="red", s=320, label="predicted wrongly")
    figure.colorbar(points, ax=graph, label="probability of the president's side")
    graph.set(xticks=[], yticks=[], title="Friendships, and the prediction")
    graph.legend(fontsize="small")
    figure.savefig("graph_network.png", dpi=120)


# %%
# The news of the quarrel spreads from the two along the edges. The only member on the wrong side is the one that
# Zachary's own model got wrong as well: with friends on both sides, and three weeks before an examination for the black
# belt, he went with his teacher.

if __name__ == "__main__":
    main()
