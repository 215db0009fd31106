"""The table of the mistakes that a mark can name; each has a page, which is made from it."""

import re

import numpy as np

from tinygrad_lite.checking.diagnosing import forwards, mistakes, patterns, repairs, structures
from tinygrad_lite.errors import InputError
from tinygrad_lite.exercises import brackets, likenesses, variants
from tinygrad_lite.exercises.example import Example, written
from tinygrad_lite.exercises.misconception import Misconception

_SUFFIX = r"\??(, [-+.\de]+ times)?(, each of the \d+ times that the line is run)?"


def recognised(sentence: str) -> tuple[Misconception, str] | None:
    """The misconception that a sentence of the gradient checker is about, and what a learner is told."""
    if "the constant in" in sentence and ("is used where" in sentence or "is there in place of" in sentence):
        return None  # which fits by chance, and helps nobody
    for misconception in MISCONCEPTIONS.values():
        for template, told in misconception.sentences.items():
            if re.fullmatch(re.sub(r"\\{.*?\\}", ".+", re.escape(template)) + _SUFFIX, sentence):
                return misconception, told or sentence
    return None


def about(name: str) -> Misconception:
    """The misconception of this name; raises `InputError` if there is none."""
    if name not in MISCONCEPTIONS:
        raise InputError(f"there is no misconception called {name!r}; there are {', '.join(MISCONCEPTIONS)}")
    return MISCONCEPTIONS[name]


# as text, since the gradient checker shows no lines of this package, and needs them to see what is run again
_WAVES = """\
def waves(x):
    y = np.zeros_like(x)
    for k in (1, 2, 3):
        y = y + np.sin(k * x)
    return y
"""
_OVERWRITTEN = "only one of several uses counts: parts are left out, or overwritten where they should be added up"
_X = {"x": [-1.5, 0.5, 2.0]}
_POSITIVE = {"x": [0.5, 1.5, 4.0]}
_SQUARE = {"x": [[1.0, -0.5, 2.0], [0.25, 1.5, -1.0], [-2.0, 0.75, 0.5]]}
_ROWS = {"x": [[1.0, -0.5, 2.0], [0.25, 1.5, -1.0]]}
_TURNED = [[2.0, -1.0, 0.5], [1.0, 3.0, -2.0], [0.5, 1.5, 1.0]]

_TABLE = [
    # the size and the sign
    Misconception(
        "sign",
        "The sign is the wrong way round",
        {mistakes.SIGN: "", patterns.SIZE: "the size is right, and the sign is left out"},
        "The size is right, so the derivative is right.",
        "The sign says which way the result goes when the input grows. A step against a gradient of the wrong sign "
        "makes the loss larger, not smaller.",
        "If the input grows a little, does the result grow or fall?",
        Example(lambda x: np.cos(x), "np.sin(x)", (_X,)),
    ),
    Misconception(
        "inner_sign",
        "A sign inside the formula is wrong",
        {"the sign is wrong in {}": "a sign inside the formula is wrong"},
        "The formula has the right letters, and the sign between them is surely a plus.",
        "The derivatives of the sigmoid and of tanh vanish where the curve is flat. A sum of positive numbers never "
        "does.",
        "Far to the left and to the right the curve is flat. What does my formula give there?",
        Example(lambda x: np.tanh(3 * x), "3 * (1 + y**2)", (_X,)),
        placed=False,
    ),
    Misconception(
        "constant_factor",
        "A constant factor is lost, or counted twice",
        {
            mistakes.TWICE: "a constant factor should not be there",
            mistakes.HALF: "a constant factor is missing",
            mistakes.CONSTANT: "the upstream gradient is handed on as it is: a constant factor is left out",
        },
        "A constant does not change, so it does not matter for the rate of change.",
        "A constant that is added does not matter. A constant factor stretches every nudge, and so the derivative, "
        "too.",
        "If I nudge the input by h, is the change one h, or several?",
        Example(lambda x: np.sin(2 * x), "np.cos(2 * x)", (_X,)),
    ),
    Misconception(
        "sum_or_mean",
        "A sum and a mean are mixed up",
        {
            mistakes.TOO_LARGE: "a sum in place of a mean",
            mistakes.TOO_SMALL: "a mean in place of a sum",
            "the sum is a mean in {}": "a mean in place of a sum",
        },
        "The sum and the mean differ only by a number, which the learning rate makes up for.",
        "In a mean over n entries, each entry moves the result by an n-th of its own nudge. If that is left out, the "
        "gradient grows with the batch, and a learning rate that was right for one batch is wrong for another.",
        "If I nudge one entry by h, how far does the result move? How many entries share it?",
        Example(lambda x: np.mean(np.sin(x)), "g * np.cos(x)", (_X, {"x": [0.5, 1.0]}), "vjp"),
        placed=False,
    ),
    Misconception(
        "extra_factor",
        "One factor too many, or one too few",
        {
            "a factor of {} should not be there": "a factor should not be there",
            "a factor of {} is missing": "a factor is missing",
            patterns.LENGTH: "it is stretched or shrunk to a length of its own",
            structures.OWN_FACTORS: "each slice has a factor of its own that is missing, or should not be there",
        },
        "The rule for powers will do, whatever the function is.",
        "Each function has its own rule. Multiply the rates of two steps, each once, and nothing else.",
        "Which factor comes from which step? Is there one without a step, or a step without one?",
        Example(lambda x: np.log(x), "1 / x**2", (_POSITIVE, {"x": [0.25, 3.0]})),
        placed=False,
    ),
    Misconception(
        "brackets",
        "Brackets are missing",
        {brackets.BRACKETS: "", brackets.TOO_MANY: ""},
        "A fraction bar holds together what is above and below it, so I copy the formula as it stands.",
        "In a line of code nothing holds together but brackets. Python multiplies and divides before it adds, and from "
        "left to right: a / b + c is a fraction and c, and a / b * c is the fraction times c.",
        "Which part does Python compute first? Put a number for each letter, and follow it.",
        Example(lambda x: np.log(1 + x**2), "2 * x / 1 + x**2", (_X, {"x": [1.0, -0.5]})),
        placed=False,
    ),
    Misconception(
        "upside_down",
        "Multiplied where it should be divided",
        {variants.UPSIDE_DOWN: ""},
        "The factor is in the formula; on which side of the bar makes no great difference.",
        "If the function divides by a number, a nudge arrives at the result divided by it, and so does the gradient "
        "on its way back. Multiplying by it instead is wrong by its square.",
        "If this number were a hundred, would the result move more for a nudge, or less?",
        Example(
            lambda x, c: np.sin(x) / c,
            "np.cos(x) * c",
            ({"x": [-1.5, 0.5, 2.0], "c": [2.0, 3.0, 0.5]}, {"x": [1.0, -0.5], "c": [0.25, 5.0]}),
            by="x",
        ),
        placed=False,
    ),
    Misconception(
        "root",
        "A square root is missing",
        {variants.ROOT: ""},
        "A variance, a standard deviation: both say how far the numbers spread.",
        "The standard deviation is the root of the variance. Stretch the numbers by ten: the deviation grows tenfold, "
        "the variance a hundredfold. They agree only where both are 1.",
        "If all numbers were ten times as large, by how much would this part of my answer change?",
        Example(
            lambda x: np.sin(x) / np.sqrt(x.size),
            "np.cos(x) / x.size",
            (_X, {"x": [1.0, -0.5]}),
        ),
        placed=False,
    ),
    Misconception(
        "sample_deviation",
        "n - 1 in place of n",
        {variants.SAMPLE: ""},
        "A standard deviation is divided by n - 1, as in the statistics course.",
        "That is an estimate from a sample, whose mean uses up one of its numbers. NumPy divides by n, as the layers "
        "of a network do, unless ddof=1 says otherwise. A gradient belongs to the function as it was computed.",
        "By which number does the function divide? Put in two numbers, and compute their spread by hand.",
        Example(
            lambda x: np.sum(x) / 3 + np.std(x),
            "g * (1 / 3 + (x - np.mean(x)) / x.size / np.std(x, ddof=1))",
            ({"x": [1.0, 2.0, 6.0]}, {"x": [0.5, -1.0]}),
            "vjp",
        ),
        placed=False,
    ),
    # upstream times local
    Misconception(
        "upstream_left_out",
        "The upstream gradient is left out",
        {mistakes.UPSTREAM: "the upstream gradient is left out"},
        "I am asked for the derivative of this step, and nothing else.",
        "What goes on is upstream times local: how much the final result changes with this step's result, times how "
        "much that changes with the argument. Without g it is right only where g is 1, at the end of the chain.",
        "If g were ten times as large, would my answer be ten times as large?",
        Example(lambda x: np.sum(x**2), "2 * x", (_X,), "vjp"),
    ),
    Misconception(
        "value_for_upstream",
        "The value stands where the upstream gradient should be",
        {"y stands where g should be": ""},
        "y and g have the same shape, and both belong to the result.",
        "y is what the step computed on the way forward. g is what came back: how much the final result changes "
        "with y.",
        "Which of the two is known only after the loss has been computed?",
        Example(lambda x, c: x * c, "y * c", ({"x": [1.0, 2.0, 3.0], "c": [0.5, -1.0, 2.0]},), "vjp"),
        placed=False,
    ),
    Misconception(
        "local_left_out",
        "The local derivative is left out",
        {
            mistakes.LOCAL: "",
            mistakes.LOCAL_AND_SIGN: "",
            "the derivative of {} is left out": "",
            "the gradient of {} is handed on in place of that of {}": "a step is left out on the way back",
        },
        "The gradient goes back through the step as it came.",
        "A gradient passes unchanged only through a step that moves as far as its argument does, such as adding a "
        "constant. Any other step stretches a nudge, and stretches the gradient by the same factor.",
        "A nudge of the argument by h: by how much does this step's result move? Where is that factor in my answer?",
        Example(lambda x: np.sum(np.log(x)), "g * np.ones_like(x)", (_POSITIVE, {"x": [0.25, 3.0]}), "vjp"),
    ),
    Misconception(
        "left_out",
        "Nothing arrives",
        {mistakes.STOPPED: ""},
        "The result does not depend on this argument, or its gradient is somebody else's business.",
        "A gradient of 0 says that a nudge changes nothing. Wherever the value flowed on the way forward, a gradient "
        "flows on the way back.",
        "If I nudge the argument and run the function again, does the result really stay the same?",
        Example(lambda x: x**3, "np.zeros_like(x)", (_X,)),
    ),
    Misconception(
        "applied_twice",
        "A local derivative is multiplied in twice",
        {"the derivative of {} is multiplied in twice": "a local derivative is multiplied in twice"},
        "The gradient that arrives at a step still has to go back through it.",
        "Each step on the way is passed once, and contributes one factor.",
        "How many steps are there between the argument and the result, and how many factors has my answer?",
        Example(lambda x: np.tanh(2 * x), "2 * (1 - y**2) ** 2", (_X,)),
        placed=False,
    ),
    # the chain, the product, and the sum over uses
    Misconception(
        "outer_at_input",
        "The outer derivative is taken at the wrong point",
        {
            "x is used where the result of {} should be": "the outer derivative is taken at x, and not at the inner "
            "value"
        },
        "Differentiate the outer function, differentiate the inner function, and put x into both.",
        "The outer step never sees x. It sees what the inner step made of it, so its rate is that at the inner value.",
        "Which number goes into the outer step on the way forward? Is its derivative taken at that number?",
        Example(lambda x: np.sin(x**2), "np.cos(x) * 2 * x", (_X,)),
        placed=False,
    ),
    Misconception(
        "rates_added",
        "The rates of the steps are added",
        {likenesses.ADDED: ""},
        "Each step contributes something, and contributions add up.",
        "Several ways from the argument to the result add up. The rates of steps along one way are multiplied: a step "
        "that triples a nudge, and a step that doubles what it gets, make six of it and not five.",
        "If I nudge x by h, how large is the nudge after the first step, and what does the second step make of it?",
        Example(lambda x: np.sin(5 * x), "np.cos(5 * x) + 5", (_X,)),
        placed=False,
    ),
    Misconception(
        "product_of_derivatives",
        "A product of derivatives for the derivative of a product",
        {
            "the derivative of a product is taken to be {}": "",
            "the derivative of a quotient is taken to be {}": "",
        },
        "The derivative of a sum is the sum of the derivatives, so the same will hold for a product.",
        "Both factors move at once. The first contributes its own rate times the other factor, the second likewise, "
        "and the two contributions add up.",
        "Try it on x · x: the product of the derivatives is 1, whatever x is. Is that the slope?",
        Example(lambda x: x**2 * np.log(x), "2 * x * (1 / x)", (_POSITIVE, {"x": [0.25, 3.0]})),
        placed=False,
    ),
    Misconception(
        "overwritten",
        "Only one of several uses counts",
        {
            mistakes.OVERWRITTEN: _OVERWRITTEN,
            mistakes.ONE_OF_TWO: _OVERWRITTEN,
            mistakes.PART: _OVERWRITTEN,
            "parts that overlap overwrite each other {}": "parts that overlap are overwritten where they should be "
            "added up",
        },
        "A value has one gradient: that of the step that used it.",
        "A nudge of the value acts through all its uses at once, and the changes add up. So the gradients that come "
        "back are added up: += where = would keep the last one alone.",
        "In how many places does the argument occur? Has each of them contributed?",
        Example(lambda x: np.exp(x) + x**2, "2 * x", (_X, {"x": [1.0, -0.5]})),
    ),
    Misconception(
        "uses_multiplied",
        "What comes back from several uses is multiplied",
        {likenesses.MULTIPLIED: ""},
        "The chain rule multiplies, so whatever comes back is multiplied.",
        "Along one path the factors are multiplied, since each step stretches what the one before it passes on. "
        "Several paths act side by side: each of them moves the result by itself, and the moves add up.",
        "If one of the uses handed back 0, would nothing come back at all?",
        Example(lambda x: x**2 + 5 * x, "2 * x * 5", (_X, {"x": [1.0, -0.5]})),
        placed=False,
    ),
    Misconception(
        "repeated_index",
        "An index that occurs twice is written once",
        {mistakes.REPEATED: "only one of several equal indices counts: the others are overwritten instead of added"},
        "Reading x[index] goes back as writing to x[index].",
        "If an index occurs twice, the same entry was read twice, and each reading contributes. Writing keeps only the "
        "last contribution; np.add.at adds up.",
        "Which entries were read more than once? Did they receive more than one contribution?",
        Example(
            lambda x: x[[0, 2, 2, 1]],
            "[g[0], g[3], g[2]]",
            ({"x": [1.0, 2.0, 3.0]},),
            "vjp",
        ),
        placed=False,
    ),
    Misconception(
        "not_reset",
        "A gradient is added up from one run to the next",
        {
            mistakes.RUNNING: "",
            patterns.RUNNING: "each entry has what belongs to those before or after it as well",
        },
        "Gradients add up, so I never start from 0 again.",
        "They add up over the uses within one pass. What an earlier pass or an earlier turn of a loop left behind is "
        "another gradient, and belongs to another result.",
        "What is in the array before the first contribution of this turn arrives?",
        Example(
            written(_WAVES, "waves"),
            "np.cos(x) + 2 * 2 * np.cos(2 * x) + 3 * 3 * np.cos(3 * x)",
            (_X,),
        ),
        placed=False,
    ),
    # which value
    Misconception(
        "output_for_input",
        "The output is used where the input should be",
        {mistakes.OUTPUT: ""},
        "y is at hand, so the formula can be written with it.",
        "A formula in terms of x needs x, and a formula in terms of y needs y. The derivative of the exponential is "
        "its output; that of a power is not.",
        "Is the letter in my formula what went into the step, or what came out of it?",
        Example(lambda x: x**3, "3 * y**2", (_X,)),
    ),
    Misconception(
        "input_for_output",
        "The input is used where the output should be",
        {mistakes.INPUT: ""},
        "A derivative is a function of x, so x goes into the formula.",
        "Some rules are shortest in terms of the result, as those of the exponential, the sigmoid and tanh. Such a "
        "formula is right for y alone; with x in its place it is another function.",
        "Is the letter in my formula what went into the step, or what came out of it?",
        Example(lambda x: np.tanh(2 * x), "2 * (1 - (2 * x) ** 2)", (_X,)),
    ),
    Misconception(
        "other_argument",
        "It is the derivative with respect to the other argument",
        {mistakes.SWAPPED: ""},
        "The function has a derivative, and this is it.",
        "A function of two arguments has two. For each, nudge that argument alone and hold the other one still.",
        "Which argument am I asked about? Which one stands still meanwhile?",
        Example(lambda a, b: a * b, "a", ({"a": [1.0, -2.0, 3.0], "b": [4.0, 0.5, -1.5]},)),
    ),
    Misconception(
        "value_for_derivative",
        "The function stands where its derivative should be",
        {
            mistakes.VALUE: "the value y stands where its derivative should be",
            mistakes.ARGUMENT: "",
            "{} is there in place of the derivative": "a value stands where a derivative should be",
            "the output of relu is used in place of its mask": "",
        },
        "The exponential is its own derivative, so why not this function?",
        "The value says how large the result is, the derivative how fast it changes. The exponential is the only kind "
        "of function for which the two are the same.",
        "Where the curve is flat, the derivative is 0. Is my answer 0 there?",
        Example(lambda x: np.sin(x), "y", (_X,)),
        placed=False,
    ),
    Misconception(
        "antiderivative",
        "It is the antiderivative",
        {likenesses.ANTIDERIVATIVE: ""},
        "The exponent goes up by 1, and I divide by it.",
        "That is the way back: it finds the function whose slope this one is. The derivative is the slope of this one, "
        "and the exponent goes down.",
        "What do I get if I differentiate my answer: the function that I began with, or its second derivative?",
        Example(lambda x: x**3, "x**4 / 4", (_X, {"x": [1.0, -0.75]})),
        placed=False,
    ),
    Misconception(
        "other_values",
        "The right formula, on the values of another function",
        {
            forwards.WITHOUT: "the formula is right, but a part is left out of the values that go into it",
            forwards.ALSO_BACK: "it is the derivative of the function without one of its parts",
            forwards.SIGN: "the formula is right, but a sign is wrong in the values that go into it",
            forwards.POWER: "the formula is right, but a square is left out of the values that go into it",
            "{} is used where {} should be": "one value is used where another one should be",
        },
        "A constant vanishes when one differentiates, so it may be left out everywhere.",
        "It vanishes as a term of the derivative. But the derivative is taken at a point, and the constant moves the "
        "point: the backward pass needs the very values of the forward pass.",
        "Compute the values on the way forward with my code. Are they the function's?",
        Example(lambda x: np.sin(3 * x + 1), "3 * np.cos(3 * x)", (_X,)),
        placed=False,
    ),
    # formulas that everybody meets
    Misconception(
        "divisor_not_squared",
        "The divisor is not squared",
        {mistakes.NOT_SQUARED: ""},
        "Dividing by b is undone by dividing by b.",
        "The change of 1/b for a nudge h is 1/(b + h) - 1/b, and that is -h / (b (b + h)): the divisor occurs twice.",
        "When b doubles, the curve of 1/b is how many times as flat?",
        Example(lambda b: 3 / b, "-3 / b", ({"b": [1.0, 2.0, -4.0]},)),
        placed=False,
    ),
    Misconception(
        "power_rule",
        "Half of the power rule",
        {mistakes.FACTOR: "", mistakes.EXPONENT: "", variants.POWER: ""},
        "The exponent comes down in front.",
        "It also goes down by 1. A power is a product of n factors, and a nudge of x changes each of them: n terms, "
        "each with the n - 1 factors that stand still.",
        "In x · x · x · x, one factor changes. How many stand still meanwhile?",
        Example(lambda x: x**4, "4 * x**4", (_X,)),
        placed=False,
    ),
    Misconception(
        "part_of_a_formula",
        "Only a part of the formula is there",
        {
            "the square is missing in {}": "a part of the formula is missing",
            patterns.SIGN_ALONE: "the sign is there, and the size is missing",
            "y is missing in the sum in {}": "a part of the formula is missing",
            "of {}, the derivative of {}, only {}": "a part of the formula is missing",
        },
        "I remember the formula.",
        "The derivative of the sigmoid is a product that vanishes at both ends, where the curve is flat, and so does "
        "that of tanh. With a part of it gone, one end stays.",
        "Put in a large negative and a large positive number. Is my answer nearly 0 both times?",
        Example(lambda x: np.tanh(2 * x), "2 * (1 - y)", (_X,)),
        placed=False,
    ),
    Misconception(
        "rule_of_another",
        "The rule of another function",
        {"{}, is taken for that of {}": "the rule of another function is used"},
        "Sigmoid and tanh look alike, so their derivatives do, too.",
        "They are the same curve, moved and stretched: tanh goes from -1 to 1, and the sigmoid from 0 to 1. The rule "
        "in terms of the output changes with that.",
        "At x = 0 the curve is the steepest. What is the slope there, and what does my formula give?",
        Example(lambda x: np.tanh(2 * x), "2 * y * (1 - y)", (_X,)),
        placed=False,
    ),
    Misconception(
        "softmax_diagonal",
        "The softmax by its diagonal alone",
        {
            "only the diagonal of the Jacobian of softmax is there": "each entry is treated as if the others stood "
            "still",
            "the part of softmax through its sum is missing": "the part through the sum is missing",
        },
        "A softmax is a sigmoid for several numbers, so its derivative is y (1 - y), entry by entry.",
        "Every entry is in the denominator of all the others. A nudge of one raises its own probability and lowers all "
        "the others, and each of these changes comes back with its own upstream gradient.",
        "The probabilities add up to 1. So if g is the same for all of them, what must go back?",
        Example(lambda x: np.exp(x) / np.sum(np.exp(x)), "g * y * (1 - y)", ({"x": [0.5, -1.0, 2.0]},), "vjp"),
        placed=False,
    ),
    Misconception(
        "logit_for_probability",
        "The logit is compared with the target",
        {
            "{} is used in place of the sigmoid of {}": "the logit stands where the probability should be",
            "{} is used in place of the softmax of {}": "the logit stands where the probability should be",
        },
        "The gradient of the cross-entropy is the answer minus the target, and the answer is what the network puts "
        "out.",
        "It is the probability minus the target. What the network puts out is the logit, which may be any number; the "
        "sigmoid or the softmax turns it into a probability.",
        "The target is between 0 and 1. Is what I compare it with between 0 and 1, too?",
        Example(
            lambda z, t: np.log(np.sum(np.exp(z))) - np.sum(t * z),
            "g * (z - t)",
            ({"z": [2.0, -1.0, 0.5], "t": [0.0, 1.0, 0.0]},),
            "vjp",
        ),
        placed=False,
    ),
    Misconception(
        "added_term",
        "A term that the function does not have",
        {
            "{} times the array itself is added: {}": "a multiple of the argument is added",
            "{} times the array's sign is added: {}": "a multiple of the argument's sign is added",
            "{} is added to every entry": "a constant is added to every entry",
            "{} times the array itself is missing: {}": "a multiple of the argument is missing",
            "{} times the array's sign is missing: {}": "a multiple of the argument's sign is missing",
            "{} is missing from every entry": "a constant is missing from every entry",
            structures.SHIFTED: "the same number is added along an axis, or is missing there",
            structures.MIXED: "a multiple of the argument is added, or is missing",
            structures.OUTER: "a product of a column and a row is added, or is missing",
            "in the gradient of {}, {} is {}": "a term is added, or left out",
        },
        "Weight decay belongs to the gradient.",
        "It belongs to the gradient of a loss with a penalty. If the function has no such term, neither has its "
        "gradient.",
        "Where in the function is the term whose derivative this is?",
        Example(lambda x: np.sum(np.sin(x)), "g * (np.cos(x) + 0.1 * x)", ({"x": [0.5, -1.0, 2.0, 1.5]},), "vjp"),
        placed=False,
    ),
    Misconception(
        "branch",
        "The wrong branch, or one branch everywhere",
        {
            "the mask of relu is the wrong way round: {}": "the mask is the wrong way round: it lets through what "
            "should be 0",
            "the derivative of one branch is taken everywhere, {}": "",
            "it is wrong exactly {}": "it is right on one side only",
            "in this entry alone, {}": "it is right in the other entries",
            "in these entries alone, {}": "it is right in the other entries",
        },
        "Where the function is 0 there is nothing to differentiate, or: one formula is enough.",
        "A function that is defined by cases has a derivative with the same cases: each entry takes the branch that "
        "it took on the way forward.",
        "Sort the entries by the case that they fall into. Is each of them right?",
        Example(lambda x: 3 * np.maximum(x, 0), "3 * (x < 0)", ({"x": [-1.5, 0.5, 2.0, -0.25]},)),
        placed=False,
    ),
    Misconception(
        "kink",
        "Another number at a kink",
        {"at the kink {}": ""},
        "At a corner the derivative is whatever I like.",
        "Any number between the slopes to either side is a subgradient, and training works with each. So that "
        "everybody computes the same, a library takes one: this one's are in docs/conventions.md.",
        "Which entries lie exactly on the corner, and what does the convention say there?",
        Example(lambda x: np.abs(x), "np.where(x >= 0, 1, -1)", ({"x": [-1.5, 0.0, 2.0]},)),
        placed=False,
    ),
    # shapes and axes
    Misconception(
        "shape",
        "The gradient has the wrong shape",
        {"it has shape {}": "", likenesses.SUMMED: ""},
        "The gradient has the shape of the upstream gradient.",
        "There is one number for each entry of the argument: how much the final result changes with that entry. So a "
        "gradient always has its argument's shape.",
        "How many entries has the argument, and which of them does each entry of my answer belong to?",
        Example(lambda x: np.sum(x), "g", (_X,), "vjp"),
        placed=False,
    ),
    Misconception(
        "shapes_do_not_fit",
        "A matrix product whose shapes do not fit",
        {"a factor of the matrix product is not transposed": "", "the factors of the matrix product are in {}": ""},
        "The derivative of a product with respect to one factor is the other factor, so multiply by that.",
        "That is so, entry by entry; but the sum runs over a different index than on the way forward. One factor must "
        "be turned for that, and the order is that of the forward product.",
        "Write the shape below each factor: (n, m) times (m, p). Which arrangement has the shape of the argument?",
        Example(
            lambda x, w: np.tanh(x @ w),
            "x @ (g * (1 - y**2))",
            ({**_ROWS, "w": [[0.5, -1.0, 2.0, 0.0], [1.5, 0.25, -0.75, 1.0], [-0.5, 2.5, 1.25, 0.75]]},),
            "vjp",
            "w",
        ),
        placed=False,
    ),
    Misconception(
        "entry_by_entry",
        "Entry by entry where a matrix product belongs",
        {"entries are multiplied one by one where {}": ""},
        "Upstream times local is g * b.",
        "In a matrix product one entry reaches a whole row or column of the result. What comes back along these ways "
        "is multiplied and added up: that is a matrix product again.",
        "How many entries of the result does one entry of the argument reach?",
        Example(
            lambda x, w: x @ w,
            "g * w",
            ({**_ROWS, "w": [[0.5, -1.0, 2.0, 0.0], [1.5, 0.25, -0.75, 1.0], [-0.5, 2.5, 1.25, 0.75]]},),
            "vjp",
        ),
        placed=False,
    ),
    Misconception(
        "transposed",
        "It is transposed",
        {
            mistakes.TRANSPOSED: "",
            mistakes.PERMUTED: "its axes are in another order",
            structures.REORDERED: "its entries are in another order",
            structures.SYMMETRY: "a part of it is transposed, or on one side only",
            mistakes.NOT_ADJOINT: "an operation is applied as it is, where its transpose should be",
            "the constant in {} is transposed where {}": "a factor is transposed where it should not be, or the other "
            "way round",
            "{} is transposed where {}": "",
            "one of two terms is not transposed": "",
        },
        "The numbers are all there, and a square matrix fits either way.",
        "Entry (i, j) of the gradient belongs to entry (i, j) of the argument. What was turned on the way forward is "
        "turned back on the way back.",
        "Take one entry off the diagonal, and follow it forward and back. Where does it end?",
        Example(lambda x, c: x.T * c, "g * c", ({**_SQUARE, "c": _TURNED},), "vjp"),
        placed=False,
    ),
    Misconception(
        "symmetric",
        "The argument is taken to be symmetric",
        {
            "it is the derivative along symmetric changes, {}": "the argument is taken to be symmetric",
            "it is G + Gᵀ, {}": "the argument is taken to be symmetric",
            "it is the symmetric part {}": "the argument is taken to be symmetric",
            "only the {} triangle is there: {}": "",
            "the {} triangle is {}": "",
            "only the diagonal is there": "",
            "the diagonal is left out": "",
        },
        "This matrix is symmetric, so entries (i, j) and (j, i) move together.",
        "Each entry of the gradient asks about one entry alone: it moves, and all the others stand still, even the "
        "one on the other side of the diagonal.",
        "Which entries move when I nudge entry (0, 1) alone?",
        Example(lambda x, c: np.sum(x * c), "g * (c + c.T - np.diag(np.diag(c)))", ({**_SQUARE, "c": _TURNED},), "vjp"),
        placed=False,
    ),
    Misconception(
        "flipped",
        "It is in the reverse order",
        {mistakes.FLIPPED: "it is in the reverse order along an axis"},
        "What goes back, goes back in the order in which it arrives.",
        "Each contribution belongs to the entry that it came from. What was reversed on the way forward, as a kernel "
        "is in a convolution, is reversed again on the way back.",
        "To which entry of the argument does the first entry of g belong?",
        Example(lambda x, c: x[::-1] * c, "g * c", ({"x": [1.0, 2.0, 3.0, 4.0], "c": [0.5, -1.0, 2.0, 1.5]},), "vjp"),
        placed=False,
    ),
    Misconception(
        "wrong_axis",
        "Along the wrong axis",
        {
            mistakes.AXIS: "",
            "the sum in the derivative of softmax is along the wrong axis": "",
            "the sum in the derivative of softmax is over all axes": "",
            variants.AXIS: "",
            variants.LENGTH: "",
        },
        "g spreads over the array by broadcasting, and NumPy knows how.",
        "NumPy lines shapes up at the last axis, whichever axis was meant. A sum along an axis goes back along that "
        "axis; keepdims=True, or g[:, None], says which.",
        "Choose an array whose axes differ in length. Does it still run?",
        Example(lambda x: np.cumsum(x, axis=1), "np.cumsum(g[::-1], 0)[::-1]", (_SQUARE,), "vjp"),
        placed=False,
    ),
    Misconception(
        "lost_axis",
        "An axis is gone after a sum",
        {variants.LOST_AXIS: ""},
        "The sum of each row belongs to its row, so NumPy will line them up.",
        "A sum along an axis takes that axis away. NumPy lines up what is left at the last axis, where it meets "
        "columns, or fits nothing. keepdims=True leaves an axis of length one in its place, and so does s[:, None].",
        "Which shape has the sum? Write it below that of the array, flush right: which lengths meet?",
        Example(
            lambda x: x / np.sum(x, axis=1, keepdims=True),
            "(g - np.sum(g * y, axis=1)) / np.sum(x, axis=1, keepdims=True)",
            (_ROWS, {"x": [[1.0, 3.0, -0.5]]}),
            "vjp",
        ),
        placed=False,
    ),
    Misconception(
        "off_by_one",
        "Off by one along an axis",
        {
            mistakes.SHIFTED: "indices are off by one along an axis",
            mistakes.SHORT: "a slice is left out: does a loop start too late, or end too early?",
        },
        "The slice starts where it starts.",
        "A slice x[1:] shifts indices by one: its entry 0 is entry 1 of x, and that is where its gradient goes.",
        "Write the index of x beside each entry of g. Is it the index that I write to?",
        Example(
            lambda x: x[1:] ** 2,
            "np.append(g * 2 * x[1:], 0)",
            ({"x": [1.0, 2.0, -3.0, 0.5]},),
            "vjp",
        ),
        placed=False,
    ),
    Misconception(
        "batch_sum",
        "The sum over the copies is missing",
        {
            mistakes.FIRST: "only the first slice along an axis counts",
            mistakes.LAST: "only the last slice along an axis counts",
            "{} was repeated by broadcasting, {}": "",
        },
        "The bias is added, so its gradient is g.",
        "Broadcasting uses the same number in every row. These are several uses, so what comes back from the rows is "
        "added up.",
        "In how many entries of the result does this one number occur?",
        Example(
            lambda x, b: x * b,
            "g * x",
            ({**_ROWS, "b": [0.5, -1.0, 2.0]},),
            "vjp",
            "b",
        ),
        placed=False,
    ),
    # numbers
    Misconception(
        "hard_coded",
        "A number that holds for one input only",
        {"it is right for the inputs that were shown, {}": "", likenesses.ROWS: ""},
        "It is right for the example, so it is right.",
        "A size or a value of the example, written as a number, is right for that example. x.size and x.shape are "
        "right for all.",
        "Which numbers in my code come from the example?",
        Example(lambda x: np.mean(x**2), "g * 2 / 3 * x", (_X, {"x": [0.5, 1.0]}), "vjp"),
        placed=False,
    ),
    Misconception(
        "nearly",
        "Nearly right is wrong",
        {"nearly right, but off {}": "", likenesses.ROUNDED: "", repairs.RIGHT_WITH: "one operation of it is another"},
        "It agrees to several digits; the rest is rounding.",
        "A derivative by formula agrees to about fifteen digits. With fewer it is another formula: a difference "
        "quotient, a rounded constant, or a small term that is left out.",
        "Where in my code is a number with few digits, or a small step?",
        Example(lambda x: np.sin(x), "(np.sin(x + 1e-6) - y) / 1e-6", (_X,)),
        placed=False,
    ),
    Misconception(
        "changing",
        "Two calls give two results",
        {"two calls with the same arguments gave different results{}": ""},
        "A bit of noise does no harm.",
        "A derivative is a function of its arguments. One that draws numbers, or remembers earlier calls, cannot be "
        "compared with anything.",
        "What does my function read other than its arguments?",
        Example(lambda x: np.sin(x), "np.cos(x) + 0.1 * next(calls)  # calls = itertools.count()", (_X,)),
        placed=False,
    ),
]

MISCONCEPTIONS = {misconception.name: misconception for misconception in _TABLE}
