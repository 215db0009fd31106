r"""
A Gaussian process, and how sure it is of itself
================================================

The yearly flow of the Nile at Aswan, as a smooth curve f and noise. Values of f that lie r length scales apart have
covariance σ² exp(-r²/2), so integrating over all curves f leaves a density of the data y alone, the evidence

.. math:: \log p(y \mid \theta) = -\tfrac12\, y^{\mathsf T} K^{-1} y - \tfrac12 \log |K| - \tfrac n2 \log 2\pi,
   \qquad \theta = \log(\text{length scale}, \sigma, \text{noise}).

Newton's method finds the most probable θ from the gradient and the Hessian. The Hessian there says how sure one can be:
Laplace's approximation is a normal density whose covariance is the inverse Hessian.

C. E. Rasmussen, C. K. I. Williams (2006), Gaussian Processes for Machine Learning, ch. 2 and 5. Data: 1871 to 1970,
G. W. Cobb (1978), Biometrika 65.
"""

import numpy as np
from matplotlib.figure import Figure
from scipy.optimize import minimize

import tinygrad_lite as tg

YEAR = np.arange(1871.0, 1971.0)
FLOW = np.fromstring(  # 10⁸ cubic metres
    """
    1120 1160  963 1210 1160 1160  813 1230 1370 1140  995  935 1110  994 1020  960 1180  799  958 1140
    1100 1210 1150 1250 1260 1220 1030 1100  774  840  874  694  940  833  701  916  692 1020 1050  969
     831  726  456  824  702 1120 1100  832  764  821  768  845  864  862  698  845  744  796 1040  759
     781  865  845  944  984  897  822 1010  771  676  649  846  812  742  801 1040  860  874  848  890
     744  749  838 1050  918  986  797  923  975  815 1020  906  901 1170  912  746  919  718  714  740
    """,
    sep=" ",
)
Y = (FLOW - FLOW.mean()) / FLOW.std()


def covariance(a, b, scale, sigma):
    return sigma**2 * np.exp(-(((a[:, np.newaxis] - b) / scale) ** 2) / 2)


def energy(theta):
    """The negative logarithm of the evidence, from K = L Lᵀ and z = L⁻¹ y."""
    scale, sigma, noise = np.exp(theta)
    factor = np.linalg.cholesky(covariance(YEAR, YEAR, scale, sigma) + noise**2 * np.eye(len(Y)))
    z = tg.linalg.solve_triangular(factor, Y, lower=True)
    return z @ z / 2 + np.sum(np.log(np.diagonal(factor))) + len(Y) / 2 * np.log(2 * np.pi)


# %%
# SciPy's Newton method with a trust region asks for the energy, its gradient and its Hessian. Each is one program.

energy_and_slope = tg.compile(tg.value_and_grad(energy))
curvature = tg.compile(tg.hessian(energy))


def explanation(scale):
    """The most probable θ near a length scale, the covariance around it, and the logarithm of the integral there."""
    start = np.log([scale, 0.7, 0.7])
    best = minimize(energy_and_slope, start, jac=True, hess=curvature, method="trust-exact")
    spread = np.linalg.inv(curvature(best.x))
    return best.x, spread, np.linalg.slogdet(2 * np.pi * spread)[1] / 2 - best.fun


# %%
# The check uses no derivatives: it computes the evidence on a grid of all three numbers, and what it says about the
# length scale alone. With the eigenvalues of K for one length scale, all σ and noises are a matter of arithmetic.


def on_a_grid(scales):
    """The density of log(length scale), for a flat prior over the grid."""
    sigma, noise = np.meshgrid(np.geomspace(0.1, 10, 80), np.geomspace(0.3, 1.5, 60), indexing="ij")
    evidence = []
    for scale in scales:
        eigenvalues, vectors = np.linalg.eigh(covariance(YEAR, YEAR, scale, 1.0))
        variance = sigma[..., np.newaxis] ** 2 * eigenvalues + noise[..., np.newaxis] ** 2
        evidence.append(np.exp(-np.sum((vectors.T @ Y) ** 2 / variance + np.log(variance), axis=-1) / 2).sum())
    return np.array(evidence) / np.trapezoid(evidence, np.log(scales))


def main(points=120):
    modes = [explanation(3.0), explanation(30.0)]
    weights = np.exp([integral for _, _, integral in modes])
    weights /= weights.sum()

    scales = np.geomspace(1, 200, points)
    density = on_a_grid(scales)
    short = scales < 9
    masses = [np.trapezoid(np.where(part, density, 0), np.log(scales)) for part in (short, ~short)]
    for (theta, spread, _), weight, mass in zip(modes, weights, masses):
        scale, sigma, noise = np.exp(theta) * (1, FLOW.std(), FLOW.std())
        factor = np.exp(np.sqrt(spread[0, 0]))
        print(f"length scale {scale:4.1f} years (× or ÷ {factor:.2f}), σ {sigma:.0f}, noise {noise:.0f}")
        print(f"    probability {weight:.2f} by Laplace, {mass:.2f} on the grid")
    draw(modes, weights, scales, density)
    return {"by_laplace": weights, "on_the_grid": masses}


def draw(modes, weights, scales, density):
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    flow, belief = figure.subplots(1, 2, width_ratios=(3, 2))
    flow.plot(YEAR, FLOW, ".", color="#555555", markersize=4, label="measured")
    belief.fill_between(scales, density, color="#bbbbbb", label="on a grid")
    grid = np.linspace(YEAR[0], YEAR[-1] + 10, 400)
    for (theta, spread, _), weight, color, style in zip(modes, weights, ("#0072b2", "#d55e00"), ("-", "--")):
        scale, sigma, noise = np.exp(theta)
        cross = covariance(grid, YEAR, scale, sigma)
        inverse = np.linalg.inv(covariance(YEAR, YEAR, scale, sigma) + noise**2 * np.eye(len(Y)))
        mean = FLOW.mean() + FLOW.std() * (cross @ inverse @ Y)
        width = 2 * FLOW.std() * np.sqrt(sigma**2 - np.sum(cross @ inverse * cross, axis=-1))
        flow.plot(grid, mean, style, color=color, label=f"length scale {scale:.1f} years")
        flow.fill_between(grid, mean - width, mean + width, color=color, alpha=0.2, linewidth=0)
        away = (np.log(scales) - theta[0]) ** 2 / spread[0, 0]
        normal = weight * np.exp(-away / 2) / np.sqrt(2 * np.pi * spread[0, 0])
        belief.plot(scales, normal, style, color=color, label=f"Laplace at {scale:.1f}")
    flow.set(xlabel="year", ylabel="flow [10⁸ m³]", title="Two explanations, each ± 2 standard deviations")
    belief.set(
        xlabel="length scale [years]", ylabel="density of its logarithm", xscale="log", title="What the data say"
    )
    for axes in (flow, belief):
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    figure.savefig("gaussian_process.png", dpi=120)


# %%
# The data have two explanations: swings within a few years, or a slow change with more noise. A point estimate would
# have shown one of them. The two Hessians weigh them almost as the grid does, cut at nine years. No normal density has
# the shoulder between them: a length scale of six or ten years is more probable than Laplace says.

if __name__ == "__main__":
    main()
