"""Mutants of notebook 03's references that behave as the reference does, and why."""

SQUARE = "a squared difference does not ask which side comes first"
PRODUCT = "a product does not ask which factor comes first"
NOT_NEGATIVE = "it is never negative"
POSITIVE = "a standard deviation is positive"
DATA = "it is recorded data: no gradient of it is used anywhere"
CONSTANT = "a constant that is taken off all logits changes nothing, nor does its gradient"
CODE = "a one-hot code holds 0 and 1, which neither a square nor an absolute value changes"

EQUIVALENT: dict[str, dict[str, str]] = {
    "3.1": {},
    "3.2": {
        "`std` and `noise` are swapped": PRODUCT,
        "an absolute value is taken of `std`": POSITIVE,
    },
    "3.3": {
        "`mean_q` and `mean_p` are swapped": SQUARE,
        "the result is an absolute value": NOT_NEGATIVE,
        "an absolute value is taken of `std_q`": POSITIVE,
        "an absolute value is taken of `std_p`": POSITIVE,
        "an absolute value is taken of `std_p` (2)": POSITIVE,
        "`mean_q` and `mean_p` are the wrong way round": SQUARE,
    },
    "3.4": {
        "the result is an absolute value": NOT_NEGATIVE,
        "an absolute value is taken of `kl_dyn`": NOT_NEGATIVE,
        "an absolute value is taken of `kl_rep`": NOT_NEGATIVE,
    },
    "3.5": {
        "the result is an absolute value": NOT_NEGATIVE,
        "`detach` is missing at `logits`": CONSTANT,
        "`logits` is detached where it should not be (2)": CONSTANT,
    },
    "3.6": {
        "`one_hot` is detached": DATA,
        "`one_hot` is detached where it should not be": DATA,
        "an absolute value is taken of `one_hot`": CODE,
        "`one_hot` is squared": CODE,
        "`probs` is detached where it should not be (2)": "there it is detached already",
        "an absolute value is taken of `probs` (2)": "a probability is never negative",
    },
    "3.7": {
        "an absolute value is taken of `prior`": "a probability is never negative",
    },
}
