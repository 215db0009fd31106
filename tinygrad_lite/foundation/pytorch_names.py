"""Names and keywords that PyTorch, JAX or autograd has and this package has not, and what to write in place of each."""

import re
from collections.abc import Collection
from typing import Any

import numpy as np

ARGUMENTS = {
    "dim": "axis",
    "dims": "axis",
    "keepdim": "keepdims",
    "dim0": "axis1",
    "dim1": "axis2",
    "shifts": "shift",
    "diagonal": "k",
    "steps": "num",
}
_NO_DEVICES = "nothing, since there are no devices"
_ONE_IMPLEMENTATION = "nothing, since each formula has one implementation"
SETTINGS = {
    **{name: f"{ours}={{!r}}" for name, ours in ARGUMENTS.items()},
    "start_dim": "start_axis={!r}",
    "end_dim": "end_axis={!r}",
    "device": _NO_DEVICES,
    **dict.fromkeys(("size_average", "reduce"), "reduction='mean', 'sum' or 'none'"),
    **dict.fromkeys(("foreach", "fused", "capturable", "differentiable"), _ONE_IMPLEMENTATION),
    "verbose": "nothing, and print scheduler.get_last_lr()",
    "cache_size": "nothing, and keep x where its inverse is needed",
    **dict.fromkeys(
        ("num_workers", "pin_memory", "persistent_workers", "prefetch_factor", "worker_init_fn", "timeout"),
        "nothing, since a batch is made when it is asked for",
    ),
    **dict.fromkeys(("collate_fn", "sampler", "batch_sampler"), "a loop of your own over batches, without a loader"),
    "generator": "rng={!r}",
}
_CAST = "x.astype(np.float32), say"
_ALONG = "np.arange(len(x))[:, None], index"
METHODS = {
    "view": "x.reshape(shape)",
    "permute": "x.transpose(axes)",
    "t": "x.T",
    "unsqueeze": "np.expand_dims(x, axis), or x[:, None]",
    "dim": "x.ndim",
    "ndimension": "x.ndim",
    "numel": "x.size",
    "nelement": "x.size",
    "view_as": "x.reshape(y.shape)",
    "reshape_as": "x.reshape(y.shape)",
    "unflatten": "x.reshape(shape)",
    "expand": "np.broadcast_to(x, shape), with the length of an axis in place of -1",
    "expand_as": "np.broadcast_to(x, y.shape)",
    "split": "np.split(x, parts, axis), which takes the number of parts, or where they begin, and not their size",
    "chunk": "np.array_split(x, parts, axis)",
    "tensor_split": "np.array_split(x, parts, axis)",
    "unbind": "list(x), or list(np.moveaxis(x, axis, 0))",
    "narrow": "a slice, such as x[:, start:end]",
    "select": "an index, such as x[:, i]",
    "movedim": "np.moveaxis(x, source, destination)",
    "swapdims": "x.swapaxes(a, b)",
    "unfold": "np.lib.stride_tricks.sliding_window_view(x, size, axis), and a slice of it for a step",
    "masked_fill": "np.where(mask, value, x)",
    "masked_select": "x[mask]",
    "masked_scatter": "x.at[mask].set(values)",
    "clamp": "x.clip(minimum, maximum)",
    "gather": "np.take_along_axis(x, index, axis)",
    "take_along_dim": "np.take_along_axis(x, index, axis)",
    "index_select": "np.take(x, index, axis)",
    "scatter": f"x.at[{_ALONG}].set(values), along axis 1; nn.functional.one_hot makes rows with a one in each",
    "scatter_add": f"x.at[{_ALONG}].add(values), along axis 1",
    "scatter_reduce": f"x.at[{_ALONG}].add(values), along axis 1",
    "index_add": "x.at[index].add(values)",
    "index_copy": "x.at[index].set(values)",
    "index_fill": "x.at[index].set(value)",
    "index_put": "x.at[index].set(values)",
    "topk": "np.take_along_axis(x, np.argsort(-x, axis)[..., :k], axis)",
    "kthvalue": "np.sort(x, axis)[..., k - 1]",
    "values": "x.max(axis) itself, which is the values alone",
    "indices": "x.argmax(axis), x.argmin(axis) or x.argsort(axis)",
    "add": "x + y",
    "sub": "x - y",
    "mul": "x * y",
    "div": "x / y",
    "pow": "x ** power",
    "neg": "-x",
    "addcmul": "x + value * a * b",
    "addcdiv": "x + value * a / b",
    "reciprocal": "1 / x",
    "rsqrt": "1 / np.sqrt(x)",
    "lerp": "x + weight * (y - x)",
    "frac": "x - np.trunc(x)",
    "eq": "x == y",
    "ne": "x != y",
    "lt": "x < y",
    "le": "x <= y",
    "gt": "x > y",
    "ge": "x >= y",
    "equal": "np.array_equal(x, y)",
    "mm": "x @ y",
    "addmm": "x + a @ b",
    "baddbmm": "x + a @ b",
    "bmm": "x @ y",
    "mv": "x @ y",
    "ger": "np.outer(x, y)",
    "norm": "np.linalg.norm(x), or with axis=axis; of order 1, np.abs(x).sum(), since a matrix's norm of an order is "
    "that of an operator in NumPy",
    "dist": "np.linalg.norm(x - y)",
    "inverse": "np.linalg.inv(x)",
    "matrix_exp": "tg.linalg.expm(x)",
    "pinverse": "np.linalg.pinv(x)",
    "logdet": "np.linalg.slogdet(x)[1]",
    **{name: f"np.linalg.{name}(x)" for name in ("det", "slogdet", "cholesky", "qr")},
    "matrix_power": "np.linalg.matrix_power(x, n)",
    "svd": "np.linalg.svd(x, full_matrices=False), whose third array is the transpose of PyTorch's",
    "diag_embed": "x[..., None] * np.eye(x.shape[-1])",
    "repeat_interleave": "np.repeat(x, repeats, axis)",
    "logcumsumexp": "np.logaddexp.accumulate(x, axis)",
    "cummax": "np.maximum.accumulate(x, axis)",
    "cummin": "np.minimum.accumulate(x, axis)",
    "clamp_min": "np.maximum(x, minimum)",
    "clamp_max": "np.minimum(x, maximum)",
    "where": "np.where(condition, x, y)",
    "amax": "x.max(axis)",
    "amin": "x.min(axis)",
    "median": "np.median(x, axis), where the middle two of an even number count half each",
    "clone": "x.copy(), or x, since no array changes",
    "contiguous": "x, as it is",
    "is_contiguous": "nothing, since every reshape works",
    "to": "x, since there are no devices, or x.astype(dtype)",
    "type": _CAST,
    "type_as": "x.astype(y.dtype)",
    "float": _CAST,
    "double": "x.astype(np.float64)",
    "half": "x.astype(np.float16)",
    "bfloat16": "x.astype(np.float32), since NumPy has no bfloat16",
    "int": "x.astype(int)",
    "long": "x.astype(int)",
    "short": "x.astype(np.int16)",
    "byte": "x.astype(np.uint8)",
    "bool": "x.astype(bool)",
    "is_floating_point": "x.dtype.kind == 'f'",
    "is_complex": "x.dtype.kind == 'c'",
    "element_size": "x.dtype.itemsize",
    "itemsize": "x.dtype.itemsize",
    "nbytes": "x.numpy().nbytes",
    **dict.fromkeys(("data_ptr", "storage", "untyped_storage", "storage_offset"), "x.numpy(), and NumPy's attributes"),
    **dict.fromkeys(("is_sparse", "layout", "to_sparse", "to_dense"), "nothing, since a tensor holds any array"),
    **dict.fromkeys(("is_nonzero", "is_same_size"), "bool(x), or x.shape == y.shape"),
    **{f"bitwise_{name}": f"x {sign} y" for name, sign in (("and", "&"), ("or", "|"), ("xor", "^"))},
    "bitwise_not": "~x",
    "aminmax": "x.min(axis) and x.max(axis)",
    "histc": "np.histogram(x, bins, range)",
    "histogram": "np.histogram(x, bins)",
    "unique_consecutive": "x[np.flatnonzero(np.diff(x, prepend=np.nan))]",
    "split_with_sizes": "np.split(x, np.cumsum(sizes)[:-1], axis)",
    **{name: f"np.{name}(x, parts)" for name in ("hsplit", "vsplit", "dsplit")},
    **dict.fromkeys(("H", "mH", "adjoint"), "x.mT, and x.conj().mT of complex numbers"),
    "addmv": "x + a @ b",
    "addr": "x + np.outer(a, b)",
    "diagflat": "np.diag(x.ravel())",
    "lstsq": "np.linalg.lstsq(a, b)",
    "xlogy": "scipy.special.xlogy(x, y)",
    "angle": "np.angle(x)",
    "mode": "np.unique(x, return_counts=True)",
    "nanmedian": "np.nanmedian(x)",
    "sum_to_size": "x.sum(axis, keepdims=True)",
    **dict.fromkeys(("char", "cfloat", "cdouble"), _CAST),
    "register_post_accumulate_grad_hook": "what the hook does, after loss.backward()",
    "cpu": _NO_DEVICES,
    "cuda": _NO_DEVICES,
    "is_cuda": _NO_DEVICES,
    "pin_memory": _NO_DEVICES,
    "get_device": _NO_DEVICES,
    "share_memory_": "nothing, since no array changes",
    "new_zeros": "np.zeros(shape, x.dtype)",
    "new_ones": "np.ones(shape, x.dtype)",
    "new_full": "np.full(shape, value, x.dtype)",
    "new_empty": "np.empty(shape, x.dtype)",
    "bernoulli": "np.random.default_rng(seed).random(x.shape) < x",
    "multinomial": "np.random.default_rng(seed).choice(len(x), size, p=x)",
    "requires_grad_": "x.requires_grad = True",
    "detach_": "x = x.detach()",
    "grad_fn": "x.op",
    "register_hook": "x.retain_grad(), which keeps the gradient that a hook would see; tg.custom_gradient changes one",
    "new_tensor": "tg.tensor(data)",
    "stride": "x.numpy().strides",
    **{name: f"scipy.special.{name}(x)" for name in ("erf", "erfc", "erfinv", "logit", "digamma")},
    "lgamma": "scipy.special.gammaln(x)",
    "polygamma": "scipy.special.polygamma(n, x)",
    "igamma": "scipy.special.gammainc(a, x)",
    "igammac": "scipy.special.gammaincc(a, x)",
    "addbmm": "x + (a @ b).sum(0)",
    "bitwise_left_shift": "x << y",
    "bitwise_right_shift": "x >> y",
    "sgn": "np.sign(x)",
    "msort": "np.sort(x, axis=0)",
    "nanquantile": "np.nanquantile(x, q, axis)",
    "prelu": "nn.functional.prelu(x, weight)",
    "hardshrink": "nn.functional.hardshrink(x)",
    "renorm": "x * np.minimum(1, maxnorm / norms), with the norms of the slices",
    "narrow_copy": "a slice, such as x[:, start:end]",
    "index_reduce": "x.at[index].add(values)",
    **dict.fromkeys(("select_scatter", "slice_scatter"), "x.at[:, start:end].set(values)"),
    "diagonal_scatter": "x.at[np.arange(n), np.arange(n)].set(values)",
    "eig": "np.linalg.eig(x)",
    "solve": "np.linalg.solve(a, b)",
    "cholesky_solve": "tg.linalg.cho_solve((c, lower), b)",
    "cholesky_inverse": "np.linalg.inv(c @ c.T)",
    "triangular_solve": "tg.linalg.solve_triangular(a, b)",
    **dict.fromkeys(("is_cpu", "is_meta", "is_mps", "is_xpu", "is_pinned", "is_shared"), _NO_DEVICES),
    "is_signed": "x.dtype.kind != 'u'",
    **dict.fromkeys(("resolve_conj", "resolve_neg"), "x, as it is"),
}


_IN_PLACE = "x = x.at[index].set(values) or an expression, since no array changes; x.data = value for a leaf"
METHODS |= {
    f"{name}_": _IN_PLACE
    for name in (
        *("add", "sub", "mul", "div", "pow", "neg", "clamp", "clip", "copy", "exp", "log", "sqrt", "rsqrt", "abs"),
        *("relu", "sigmoid", "tanh", "masked_fill", "masked_scatter", "put", "index_add", "index_copy", "index_fill"),
        *("index_put", "scatter", "scatter_add", "scatter_reduce", "apply", "map", "lerp", "addcmul", "addcdiv"),
        *("addmm", "round", "floor", "sign"),
        *("reciprocal", "clamp_min", "clamp_max", "tril", "triu", "fill_diagonal"),
        *("absolute", "subtract", "multiply", "divide", "true_divide", "remainder", "fmod", "float_power", "negative"),
        *("sin", "cos", "tan", "sinh", "cosh", "asin", "acos", "atan", "atan2", "exp2", "expm1", "log1p", "log2"),
        *("log10", "ceil", "trunc", "frac", "square", "sinc", "nan_to_num", "cumsum", "cumprod", "eq", "ne", "lt"),
        *("le", "gt", "ge", "logical_and", "logical_or", "logical_not", "logical_xor", "hypot", "copysign", "erf"),
        *("erfinv", "lgamma", "digamma", "logit", "resize", "set", "renorm", "swapaxes", "swapdims", "baddbmm"),
        *("asinh", "acosh", "atanh", "arcsin", "arccos", "arctan", "arctan2", "arcsinh", "arccosh", "arctanh", "fix"),
        *("addmv", "addr", "addbmm", "deg2rad", "rad2deg", "erfc", "floor_divide", "greater", "greater_equal", "less"),
        *("less_equal", "not_equal", "xlogy", "sgn", "i0", "ldexp", "polygamma", "nextafter", "gcd", "lcm"),
        *("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not", "index_reduce", "igamma"),
        *("igammac", "bitwise_left_shift", "bitwise_right_shift"),
    )
}
METHODS |= {
    f"{name}_": "tg.nn.init.normal_(x) or another of its functions, for a leaf"
    for name in ("normal", "uniform", "random", "bernoulli", "exponential", "log_normal", "cauchy", "geometric")
}
METHODS |= {
    "zero_": "w.grad = None for a gradient; tg.nn.init.zeros_(x) for a leaf",
    "fill_": "np.full(shape, value); tg.nn.init.constant_(x, value) for a leaf",
}
METHODS |= {
    f"{name}_": f"x = {instead}"
    for name, instead in {
        "squeeze": "x.squeeze(axis)",
        "unsqueeze": "np.expand_dims(x, axis)",
        "t": "x.T",
        "transpose": "x.swapaxes(a, b)",
    }.items()
}
METHODS |= {
    name: f"np.{name}(x)"
    for name in (
        *("tan", "sinh", "cosh", "log2", "log10", "floor", "ceil", "trunc", "isnan", "isinf", "isfinite"),
        *("logical_not", "diag", "argwhere", "unique", "diff", "absolute", "negative", "exp2", "fabs", "sinc"),
        *("rad2deg", "deg2rad"),
        *("nan_to_num", "nanmean", "nansum", "count_nonzero", "fliplr", "flipud", "rot90", "isreal", "signbit"),
        *("arcsin", "arccos", "arctan", "arcsinh", "arccosh", "arctanh", "bincount", "corrcoef", "cov"),
        *("fix", "positive", "i0", "frexp", "isposinf", "isneginf"),
    )
}
METHODS |= {
    name: f"np.{name}(x, y)"
    for name in (
        *("subtract", "multiply", "divide", "true_divide", "floor_divide", "remainder", "float_power", "arctan2"),
        *("hypot", "logaddexp", "logaddexp2", "fmax", "fmin", "copysign", "heaviside", "kron", "vdot", "isclose"),
        *("greater", "greater_equal", "less", "less_equal", "not_equal", "allclose"),
        *("fmod", "logical_and", "logical_or", "logical_xor", "outer", "inner", "cross"),
        *("gcd", "lcm", "ldexp", "nextafter"),
    )
}
METHODS |= {f"a{name}": f"np.arc{name}(x)" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")}
METHODS |= {"atan2": "np.arctan2(x, y)", "tile": "np.tile(x, repeats)"}
METHODS |= {
    "tril": "np.tril(x, k)",
    "triu": "np.triu(x, k)",
    "flip": "np.flip(x, axis)",
    "roll": "np.roll(x, shift, axis)",
    "quantile": "np.quantile(x, q, axis)",
    "moveaxis": "np.moveaxis(x, source, destination)",
    "flat": "x.reshape(-1)",
}

_TWICE = ", if no entry occurs twice; else np.{0}.at(x, index, values) in a function that tg.functionalize takes"
ENTRIES_METHODS = {
    **dict.fromkeys(("multiply", "mul"), "x.at[index].set(x[index] * values)" + _TWICE.format("multiply")),
    **dict.fromkeys(("divide", "div"), "x.at[index].set(x[index] / values)" + _TWICE.format("divide")),
    **dict.fromkeys(("power", "pow"), "x.at[index].set(x[index] ** values)" + _TWICE.format("power")),
    **dict.fromkeys(("subtract", "sub"), "x.at[index].add(-values)"),
    "min": "x.at[index].set(np.minimum(x[index], values))" + _TWICE.format("minimum"),
    "max": "x.at[index].set(np.maximum(x[index], values))" + _TWICE.format("maximum"),
    "apply": "x.at[index].set(f(x[index]))",
    "get": "x[index]",
}


MODULE_METHODS = {
    "cuda": _NO_DEVICES,
    "cpu": _NO_DEVICES,
    "xpu": _NO_DEVICES,
    "type": "model.to(np.float32), say",
    "bfloat16": "model.to(np.float32), since NumPy has no bfloat16",
    "compile": "tg.compile(model), or of a whole step",
    "_modules": "dict(model.named_children())",
    "_buffers": "dict(model.named_buffers(recurse=False))",
    "set_submodule": "model.name = module",
    "reset_parameters": "a new layer in its place, or tg.nn.init for each parameter",
    "_get_name": "type(model).__name__",
    # methods of Keras's models
    "fit": "tg.fit(model, loss, (inputs, targets), epochs=10), say",
    "predict": "model(x), or model.eval()(x) where dropout and running statistics must stay out",
    "evaluate": "loss(model(x), y)",
    **dict.fromkeys(("save_weights", "load_weights"), "tg.save(path, model=model) or tg.load(path, model=model)"),
    **dict.fromkeys(("get_weights", "set_weights"), "model.state_dict() or model.load_state_dict(weights)"),
    **dict.fromkeys(("trainable_variables", "trainable_weights"), "list(model.parameters())"),
    "count_params": "sum(w.size for w in model.parameters()), or print(model)",
    "to_empty": "the module itself, whose weights have values",
    **dict.fromkeys(("get_extra_state", "set_extra_state"), "an array in a field, which is part of the state"),
    **dict.fromkeys(
        (
            "register_state_dict_pre_hook",
            "register_state_dict_post_hook",
            "register_load_state_dict_pre_hook",
            "register_load_state_dict_post_hook",
        ),
        "state_dict or load_state_dict in a class of your own, which changes the names and calls super()",
    ),
    "flatten_parameters": "nothing, since the weights are read as they are",
    "share_memory": "nothing, since processes of tg.distributed have copies",
    **dict.fromkeys(
        ("register_backward_hook", "register_full_backward_hook", "register_full_backward_pre_hook"),
        "register_forward_hook, and retain_grad() of the output that it sees, which then has a .grad",
    ),
}
_RNG = "rng=, a seed or a generator, in each layer, loader or sample that draws"
_GENERATOR = "a method of np.random.default_rng(seed)"
_TRANSFORM = "tg.grad, tg.vjp or another transform of a function; tg.custom_gradient for a Function"
_AVERAGE = "optim.ExponentialMovingAverage"
_OWN_DATASET = "a list or an array, or any object with __len__ and __getitem__"
_OF_NUMBERS = "constraints.interval(low, high, words), or a Constraint of your own"
_OWN_TRANSFORM = "a subclass of distributions.Transform, with _call, _inverse and log_abs_det_jacobian"
_SUBCLASS = "a subclass of distributions.Distribution, with the log_prob of it"
# of each of our modules, by patterns
NAMES: dict[str, dict[str, str]] = {
    "tinygrad_lite": {
        # names that NumPy has, too, with other arguments or results
        "max|min": "x.NAME(axis), the values alone, and x.argNAME(axis) for where they are; np.NAMEimum(x, y) of two",
        "sort": "np.sort(x, axis), the values alone, and np.argsort(x, axis) for where they are",
        "std|var": "np.NAME(x, axis, ddof=1)",
        "transpose": "np.swapaxes(x, a, b)",
        "nonzero": "np.argwhere(x)",
        "zeros|ones|empty": "np.NAME(shape), whose shape is a tuple",
        "meshgrid": "np.meshgrid(x, y, indexing='ij')",
        "rand_like|randn_like|randint_like": _GENERATOR + ", of x.shape",
        "bucketize": "np.searchsorted(boundaries, x)",
        "cat|concat": "np.concatenate(arrays, axis)",
        "from_numpy|as_tensor|asarray|scalar_tensor": "tg.tensor(array)",
        "manual_seed|seed|Generator|default_generator|initial_seed|[gs]et_rng_state": _RNG,
        "randn?|randint|randperm|normal|bernoulli|multinomial|poisson": _GENERATOR,
        "autograd|Function": _TRANSFORM,
        "summary": "print(model)",
        "func": "tg.nn.functional_call, tg.grad, tg.vmap or another transform of a function",
        # names of autograd's and JAX's
        "pmap": "tg.vmap(f), or tg.distributed, which divides the data among processes",
        "jac(fwd|rev)|holomorphic_grad": "tg.jacobian, or tg.grad of a real result",
        "elementwise_grad|egrad": "tg.grad(lambda x: np.sum(f(x)))",
        "make_(hvp|hessian_vector_product)|hessian_(vector|tensor)_product": "tg.hvp(f, (x,), (vector,))",
        "make_(vjp|vector_jacobian_product)|(vector|tensor)_jacobian_product|linear_transpose": "tg.vjp(f, x)",
        "make_(jvp|jvp_reversemode|ggnvp)|linearize": "tg.jvp(f, (x,), (tangent,))",
        "grad_and_aux": "tg.grad(f, has_aux=True)",
        "value_and_jac": "tg.jacobian, and a call for the value",
        "multigrad_dict|grad_named": "tg.grad of a function of a dict",
        "deriv": "tg.jvp(f, (x,), (1.0,))",
        "custom_(jvp|vjp)|closure_convert": "tg.custom_gradient, tg.elementwise or tg.primitive",
        "defvjp|defjvp|notrace_primitive": "tg.primitive or tg.elementwise, which take the derivatives",
        "numpy": "numpy itself: import numpy as np",
        "scipy": "scipy.special, tg.linalg and tg.distributions",
        "lax": "Python's `for` and `if`, and NumPy's functions; np.where in a compiled function",
        "tree_map|tree_util|tree|pytree": "a list or a dict of arrays, which the transforms take as they are",
        "block_until_ready|device_(put|get)": "nothing, since results are ready and there are no devices",
        "remat": "tg.checkpoint",
        "Variable": "tg.tensor(array)",
        "inference_mode|set_grad_enabled": "tg.no_grad() or tg.enable_grad()",
        "[gs]et_default_dtype|set_default_tensor_type": "dtype= in each layer, or model.to(dtype)",
        "jit": "tg.compile",
        "flatten": "x.reshape(-1), or x.reshape(len(x), -1)",
        "unflatten": "x.reshape(shape)",
        "cdist": "np.linalg.norm(x[..., :, None, :] - y[..., None, :, :], axis=-1)",
        "var_mean|std_mean|aminmax": "a call of NumPy's for each",
        "broadcast_tensors": "np.broadcast_arrays(x, y)",
        "cartesian_prod": "itertools.product, or np.meshgrid",
        "combinations": "itertools.combinations",
        "block_diag": "tg.linalg.block_diag(*tensors)",
        "lu|lu_unpack": "tg.linalg.lu_factor(x) and tg.linalg.lu_solve(factors, b)",
        "matrix_exp": "tg.linalg.expm(x)",
        "cholesky_solve|solve|lstsq": "np.linalg.solve, or tg.linalg",
        "fft": "np.fft",
        "[ai]?stft|(hann|hamming|blackman|kaiser|bartlett)_window": "np.fft.rfft of windows; np.hanning and others",
        "complex|polar|view_as_complex": "real + 1j * imaginary",
        "view_as_real": "np.stack([z.real, z.imag], -1)",
        "special|polygamma": "scipy.special, whose erfinv, gammaln, psi and others take tensors",
        "cond|while_loop|scan": "Python's `if` and `for`; np.where in a compiled function",
        "utils": "tg.data and tg.nn.utils",
        "device|cuda|backends|mps|xpu|npu|accelerator": _NO_DEVICES,
        "amp|autocast|GradScaler|(is|get)_autocast_\\w+": "nothing, since each dtype stays: model.to(np.float32), say",
        "[gs]et_num_threads": "OMP_NUM_THREADS in the environment",
        "is_tensor": "isinstance(x, tg.Tensor)",
        "is_floating_point|is_complex": "x.dtype.kind",
        "is_grad_enabled": "x.requires_grad of a result",
        "(Float|Double|Half|Long|Int|Short|Byte|Char|Bool)Tensor": "tg.tensor(array)",
        "Size": "tuple",
        "long|int": "np.int64",
        "double|float|half": "np.float64, np.float32 or np.float16",
        "bfloat16": "np.float32, since NumPy has no bfloat16",
        "pi|e|inf|nan|newaxis": "np.NAME",
        "sparse|sparse_.*": "an array of the package `sparse`, or of SciPy's",
        "detach": "x.detach()",
        "onnx": "tg.export_onnx",
        "hub": "tg.load, or tg.from_torch",
        "nested": "arrays with padding, and a mask",
        "trapz": "np.trapezoid",
        "cumulative_trapezoid": "np.cumsum((y[1:] + y[:-1]) / 2 * np.diff(x))",
        "range": "np.arange",
        "rsub": "y - x",
        "chain_matmul": "np.linalg.multi_dot",
        "matrix_rank": "np.linalg.matrix_rank",
        "frobenius_norm|nuclear_norm": "np.linalg.norm, with ord='fro' or 'nuc'",
        "(svd|pca)_lowrank|lobpcg": "np.linalg.svd or np.linalg.eigh",
        "random|quasirandom": _RNG,
        "(set|is)_anomaly(_check_nan)?_enabled": "tg.detect_anomaly()",
        "use_deterministic_algorithms|set_deterministic_debug_mode|are_deterministic_\\w+": _ONE_IMPLEMENTATION,
        "[gs]et_float32_matmul_precision|set_flush_denormal": _ONE_IMPLEMENTATION,
        "[gs]et_default_device|get_device_module": _NO_DEVICES,
        "to_dlpack": "x.numpy()",
    },
    "tinygrad_lite.nn": {
        "Lazy.*|Uninitialized.*": "the layer with its shapes, which a module knows when it is made",
        "DataParallel|parallel": "tg.distributed",
        "Swish": "nn.SiLU",
        "Dense": "nn.Linear, which takes the number of its inputs, too",
        "SyncBatchNorm": "nn.BatchNorm1d, 2d or 3d",
        "Buffer": "self.register_buffer(name, array), or an array in a field",
        "NLLLoss2d": "nn.NLLLoss",
        "LinearCrossEntropy.*|AdaptiveLogSoftmaxWithLoss": "nn.Linear and nn.CrossEntropyLoss, one after the other",
        "CrossMapLRN2d": "nn.LocalResponseNorm",
        "parameter|modules": "tg.nn itself",
        "Container": "nn.Module",
        "RNN(Cell)?Base": "nn.RNN, nn.LSTM, nn.GRU or a cell of them",
    },
    "tinygrad_lite.nn.functional": {
        "upsample.*": "nn.functional.interpolate",
        "swish": "nn.functional.silu",
        "linear_cross_entropy": "nn.functional.cross_entropy(nn.functional.linear(x, weight, bias), target)",
        ".*_with_indices": "return_indices=True",
        "(relu|elu|celu|selu|rrelu|leaky_relu|hardtanh|threshold)_": "the same without the underscore",
    },
    "tinygrad_lite.nn.utils": {
        "clip_grad_norm": "nn.utils.clip_grad_norm_",
        "stateless": "nn.functional_call",
        "prune": "w.data = w.data * mask after each step, or a parametrization that multiplies by a mask",
        "fuse_(conv|linear)_bn_(eval|weights)": "nothing, or the weights times those of the normalisation",
        "skip_init": "the layer itself",
    },
    "tinygrad_lite.nn.utils.parametrize": {
        "cached": "weight = layer.weight, and that in place of further reads, each of which computes it anew",
        "(type_before|transfer)_parametrizations.*": "the module's class, or register_parametrization anew",
    },
    "tinygrad_lite.nn.init": {"_calculate_fan_in_and_fan_out": "w[0].size and w[:, 0].size, the fans of a weight w"},
    "tinygrad_lite.optim.lr_scheduler": {"_LRScheduler": "LRScheduler"},
    "tinygrad_lite.optim": {
        "swa_utils": f"{_AVERAGE}, or optim.lr_scheduler.SWALR",
        "SparseAdam": "optim.Adam, since every gradient is a whole array",
        "(?i:lamb|lars)": "an Optimizer of your own whose update scales lr by the ratio of the norms of w and its step",
    },
    "tinygrad_lite.data": {
        "TensorDataset": "the tuple of the arrays",
        "(Iterable|Chain|Concat|Stack)?Dataset|Subset": _OWN_DATASET,
        "random_split": "np.random.default_rng(seed).permutation(len(x)), cut into parts",
        ".*Sampler|default_collate": "DataLoader's shuffle= and rng=, or a generator of your own",
    },
    "tinygrad_lite.ops.linear.of_scipy": {
        "matrix_exp": "tg.linalg.expm(A)",
        "lu|lu_factor_ex|ldl_factor(_ex)?|ldl_solve": "tg.linalg.lu_factor(A) and tg.linalg.lu_solve(factors, b)",
        "(solve|inv|cholesky)_ex": "the function without _ex, which raises an error where there is no result",
    },
    "tinygrad_lite.distributions.constraints": {
        "greater_than(_eq)?|less_than|half_open_interval": _OF_NUMBERS,
        "integer_interval": "constraints.integers(low, high, words)",
        "dependent|dependent_property|is_dependent|independent|cat|stack|\\w+Constraint": "a Constraint of your own",
    },
    "tinygrad_lite.distributions": {
        "kl": "tg.distributions.kl_divergence and register_kl",
        "ExponentialFamily": _SUBCLASS,
        "(Abs|Cat|Softmax|Stack)Transform": _OWN_TRANSFORM,
        "transform_to": "biject_to; PositiveDefiniteTransform() or LowerCholeskyTransform() for matrices",
        "identity_transform": "ComposeTransform([])",
    },
}


def instead_of_setting(name: str) -> str:
    """What to write in place of a keyword that PyTorch's functions take; empty if there is none."""
    return SETTINGS.get(name, "").replace("{!r}", "…")


def instead_of_name(module: str, name: str) -> str:
    """What to write in place of a name that PyTorch's module has, and ours has not; empty if it is in no table."""
    known = (instead for pattern, instead in NAMES[module].items() if re.fullmatch(pattern, name))
    return next(known, "").replace("NAME", name)


def instead_of_method(name: str) -> str:
    """What to write in place of a method that PyTorch's tensors have and arrays lack; empty if both lack it."""
    if name in METHODS and name.endswith("_"):
        return "x[...] = values into an array of your own; for w.data of a weight, tg.nn.init, or w.data = values"
    return METHODS.get(name, "")


def of_linalg(name: str) -> str:
    """What to write in place of a function of PyTorch's linear algebra that NumPy has."""
    return f"np.linalg.{name}" if callable(getattr(np.linalg, name, None)) else ""


def of_numpy(name: str) -> str:
    """What to write in place of a function of PyTorch that NumPy has, or that its tensors have as a method."""
    return METHODS.get(name) or (f"np.{name}" if callable(getattr(np, name, None)) else "")


def unknown_argument(operation: str, name: str, value: Any, known: Collection[str]) -> str:
    """The message for a keyword that an operation does not take."""
    there = ", ".join(f"{keyword}=" for keyword in sorted(known)) or "no keyword"
    if instead := instead_of_argument(operation, name, value):
        return f"{operation}: {name}={value!r} is written {instead}, as in NumPy; it takes {there}"
    return f"{operation}: {name}={value!r} has no derivative here; it knows {there}"


def instead_of_argument(operation: str, name: str, value: Any) -> str:
    """What to write in place of a keyword that PyTorch's function takes; empty if there is none."""
    if name == "unbiased":
        return f"ddof={0 if value is False else 1}"
    if name == "descending":
        return "as it is, without it" if value is False else f"{operation} of -x"
    if name in ("start_dim", "end_dim"):
        return "x.reshape(shape)"
    if name == "dim" and operation in ("max", "min"):
        return f"axis={value!r}, which gives the values alone, and arg{operation}(axis={value!r}) says where they are"
    return f"{ARGUMENTS[name]}={value!r}" if name in ARGUMENTS else ""
