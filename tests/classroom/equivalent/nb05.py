"""Mutants of notebook 05's references that behave as the reference does, and why."""

SQUARE = "a squared difference does not ask which side comes first"
NOT_NEGATIVE = "it is never negative"
TWO_AXES = "the rows have two axes, so axis 0 is axis -2"
DATA = "it is recorded data: no gradient of it is used anywhere"
FLAG = "the flag is 0 or 1, which neither a square nor an absolute value changes"
BORDER = "where rounding ends and a change begins is a matter of taste: nobody's entry moves by a millionth"

EQUIVALENT: dict[str, dict[str, str]] = {
    "5.1": {
        "`prediction` and `target` are swapped": SQUARE,
        "the result is an absolute value": NOT_NEGATIVE,
        "`prediction` and `target` are the wrong way round": SQUARE,
    },
    "5.3": {
        "`rows` is read in the reverse order": "neither a mean nor a deviation asks for the order of rows",
        "`std` runs over axis -2, where 0 is right": TWO_AXES,
        "`mean` runs over axis -2, where 0 is right": TWO_AXES,
        "`>=` stands where `>` belongs": BORDER,
        "`std > 2e-06` stands where `std > 1e-06` belongs": BORDER,
        "`std > 5e-07` stands where `std > 1e-06` belongs": BORDER,
    },
    "5.4": {
        "`first` is detached": DATA,
        "`noise` is detached": DATA,
        "`stack` runs over axis -2, where 1 is right": "the result has three axes, so axis 1 is axis -2",
        "`stack` runs over axis -2, where 1 is right (2)": "the result has three axes, so axis 1 is axis -2",
        "`stack` runs over axis -2, where 1 is right (3)": "the result has three axes, so axis 1 is axis -2",
        "`noise` is detached on its way into `sample`": DATA,
        "`first` is detached where it should not be": DATA,
        "an absolute value is taken of `first`": FLAG,
        "`first` is squared": FLAG,
        "`noise` is detached where it should not be": DATA,
    },
    "5.6": {
        "the case distinction on `variance == 0` is missing (2)": "the exercise asks for no error where the truth never changes",
        "`variance == 1` stands where `variance == 0` belongs": "the exercise asks for no error where the truth never changes",
        "`variance == -1` stands where `variance == 0` belongs": "the exercise asks for no error where the truth never changes",
        "`float` is missing at `truth` and `prediction`": "a numpy number is as good as Python's",
        "`truth` and `truth` are the wrong way round": SQUARE,
        "`truth` and `prediction` are the wrong way round": SQUARE,
    },
}
