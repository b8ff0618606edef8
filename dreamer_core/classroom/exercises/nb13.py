"""Notebook 13: dreams in pixels."""

import numpy as np
import torch

from dreamer_core import senses
from dreamer_core.classroom.spec import Draw, Exercise, Look, Mistake
from dreamer_core.viz import frames, latent_map

# --- 13.1 patches -------------------------------------------------------------------------------

GREY, COLOURS = (2, 4, 3, 2), (1, 8, 2, 2)  # (N, C * patch², rows of the grid, columns of it), of patches of 2 x 2


def numbered(shape: tuple[int, ...]) -> torch.Tensor:
    """Each number says where it stands."""
    return torch.arange(float(np.prod(shape))).reshape(shape)


def observe_assemble(f):
    """A grey picture of 3 x 2 places, and one of two channels."""
    return {"a grey picture of 3 x 2 places": f(numbered(GREY), 2), "a picture of two channels": f(numbered(COLOURS), 2)}


def pixel_by_pixel(patches: torch.Tensor, patch: int) -> torch.Tensor:
    """Every pixel looked up by itself."""
    count, numbers, rows, columns = patches.shape
    picture = torch.zeros(count, numbers // patch**2, rows * patch, columns * patch)
    for c, y, x in np.ndindex(*picture.shape[1:]):
        picture[:, c, y, x] = patches[:, c * patch**2 + (y % patch) * patch + x % patch, y // patch, x // patch]
    return picture


def expected_assemble():
    """Pixel by pixel."""
    return {
        "a grey picture of 3 x 2 places": pixel_by_pixel(numbered(GREY), 2),
        "a picture of two channels": pixel_by_pixel(numbered(COLOURS), 2),
    }


def assemble_with(order=(0, 1, 4, 2, 5, 3), numbers=lambda patches, patch: patches.unflatten(1, (-1, patch, patch))):
    """The assembly with its axes in another order, or a place's numbers read in another way."""

    def wrong(patches, patch):
        axes = numbers(patches, patch).permute(*order)
        return axes.reshape(*axes.shape[:2], axes.shape[2] * axes.shape[3], axes.shape[4] * axes.shape[5])

    return wrong


def laid_down(patches, patch):
    """The numbers as they lie in memory."""
    count, numbers, rows, columns = patches.shape
    return patches.reshape(count, numbers // patch**2, rows * patch, columns * patch)


def colour_of_each_pixel(patches, patch):
    """Numbers read pixel by pixel, each with all its channels."""
    return patches.unflatten(1, (patch, patch, -1)).permute(0, 3, 1, 2, 4, 5)


ASSEMBLE = Exercise(
    id="13.1",
    title="A picture made of patches",
    minutes=10,
    difficulty=3,
    importance=2,
    reference=senses.assemble,
    target="dreamer_core.senses:assemble",
    observe=observe_assemble,
    expected=expected_assemble,
    runs_with="pictures for observations",
    looks=(
        Look("2 pictures of 3 x 5 places, patches of 4 x 4", lambda d: (d.normal(2, 16, 3, 5), 4)),
        Look("three channels, patches of 2 x 2", lambda d: (d.normal(3, 12, 4, 2), 2)),
        Look("patches of a single pixel", lambda d: (d.normal(2, 3, 4, 5), 1)),
        Look("a single place", lambda d: (d.normal(2, 18, 1, 1), 3)),
    ),
    mistakes=(
        Mistake(
            "laid_down",
            laid_down,
            "The numbers are laid into the picture as they lie in memory. The numbers of one place must end up in one patch: take the axes "
            "apart, put them into the right order (permute), and join them then.",
        ),
        Mistake(
            "patch_transposed",
            assemble_with(order=(0, 1, 4, 3, 5, 2)),
            "Rows and columns are exchanged within each patch. Its numbers come row by row.",
        ),
        Mistake(
            "grid_transposed",
            assemble_with(order=(0, 1, 5, 2, 4, 3)),
            "Rows and columns of the grid are exchanged: the patches are right, and lie in the wrong places.",
        ),
        Mistake(
            "interleaved",
            assemble_with(order=(0, 1, 2, 4, 3, 5)),
            "The patches are interleaved. A pixel's row is (row of the grid) * patch + (row in the patch): so its axis stands before "
            "the patch's.",
        ),
        Mistake(
            "channels_last",
            assemble_with(numbers=colour_of_each_pixel),
            "The channels are taken pixel by pixel. All numbers of the first channel come first: unflatten into (C, patch, patch).",
        ),
    ),
    hints=(
        "Take the second axis apart into three: channel, row in the patch, column in the patch.",
        "Six axes then: N, C, row in the patch, column in the patch, row of the grid, column of the grid. Which two make a row of the "
        "picture, and which of them changes more slowly?",
        "patches.unflatten(1, (-1, patch, patch)).permute(0, 1, 4, 2, 5, 3), and then join axes 4 and 5, and 2 and 3 (flatten).",
    ),
)

# --- 13.2 the price of a part -------------------------------------------------------------------


def two_frames() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two frames of 2 x 3 pixels: told, real, and the part that counts; wrong by 3 within the part, by 4 and by 12 outside of it."""
    real = np.full((2, 2, 3, 1), 100, np.uint8)
    told, part = real.copy(), np.zeros((2, 2, 3), bool)
    told[0, 0, 1], told[0, 1, 2], told[1, 0, 0] = 97, 104, 112
    part[0, 0, 1] = part[1, 1, 1] = True
    return told, real, part


def observe_share(f):
    """Bytes, numbers, colours, and no error at all."""
    told, real, part = two_frames()
    colours = np.concatenate([real, told], -1)
    return {
        "errors of 3 within, and of 4 and 12 outside": f(told, real, part),
        "the same in numbers that are no bytes": f(told.astype(float), real, part),
        "the same error in one of two channels": f(colours, np.concatenate([real, real], -1), part),
        "errors within alone": f(np.where(part[..., None], 7, real), real, part),
        "no error": f(real.copy(), real, part),
    }


def expected_share():
    """9 of 9 + 16 + 144."""
    return {
        "errors of 3 within, and of 4 and 12 outside": 9 / 169,
        "the same in numbers that are no bytes": 9 / 169,
        "the same error in one of two channels": 9 / 169,
        "errors within alone": 1.0,
        "no error": 0.0,
    }


def share_with(
    difference=lambda told, real: told.astype(float) - real.astype(float),
    size=np.square,
    add=np.sum,
    chosen=lambda part: part,
):
    """The share of the error with one place changed."""

    def wrong(told, real, part):
        each = size(difference(told, real)).sum(-1)
        return float(add(each[chosen(part)]) / max(add(each), 1e-12))

    return wrong


def framed(d: Draw, rows: int, channels: int, told: type = np.uint8) -> tuple:
    """Frames of 4 x 5 pixels, told ones near real ones, and a part of them."""
    real = d.integers(0, 256, rows, 4, 5, channels).numpy().astype(np.uint8)
    near = np.clip(real + d.normal(rows, 4, 5, channels, std=30.0).double().numpy(), 0, 255)
    return near.astype(told), real, d.mask(rows, 4, 5).numpy().astype(bool)


def nearly(d: Draw, rows: int) -> tuple:
    """The same, wrong by some hundredths."""
    _, real, part = framed(d, rows, 1)
    return real + d.normal(*real.shape, std=0.02).double().numpy(), real, part


SHARE = Exercise(
    id="13.2",
    title="What share of the error is the ball's?",
    minutes=6,
    difficulty=2,
    importance=3,
    reference=frames.share_of_error,
    target="dreamer_core.viz.frames:share_of_error",
    observe=observe_share,
    expected=expected_share,
    gradients=False,
    looks=(
        Look("3 grey frames of bytes", lambda d: framed(d, 3, 1)),
        Look("2 frames in colours", lambda d: framed(d, 2, 3)),
        Look("frames told in numbers between bytes", lambda d: framed(d, 2, 1, float)),
        Look("errors of less than one grey level", lambda d: nearly(d, 2)),
        Look("one frame", lambda d: framed(d, 1, 1)),
        Look("a part that is empty", lambda d: (*framed(d, 2, 1)[:2], np.zeros((2, 4, 5), bool))),
        Look("a part that is everything", lambda d: (*framed(d, 2, 1)[:2], np.ones((2, 4, 5), bool))),
    ),
    mistakes=(
        Mistake(
            "bytes_wrap",
            share_with(difference=lambda told, real: (told - real).astype(float)),
            "Bytes were subtracted as bytes: 97 - 100 is 253 there, for they know no numbers below 0. Make floats of both first.",
        ),
        Mistake(
            "absolute",
            share_with(size=np.abs),
            "The differences are not squared. The loss counts squares, so one large error weighs more than many small ones.",
        ),
        Mistake(
            "means",
            share_with(add=lambda x: x.mean() if x.size else 0.0),
            "Means are divided, not sums. That tells how much worse a pixel of the part is, not how much of the loss is the part's.",
        ),
        Mistake(
            "share_of_pixels",
            lambda told, real, part: float(part.mean()),
            "This is the part's share of the pixels. It is asked for its share of the squared error.",
        ),
        Mistake(
            "the_rest",
            share_with(chosen=np.logical_not),
            "This is the share of the rest: part is True for the pixels that belong to it.",
        ),
        Mistake(
            "root",
            lambda told, real, part: share_with()(told, real, part) ** 0.5,
            "A root was taken. Squared errors add up, and so the shares of two parts do; their roots do not.",
        ),
    ),
    hints=(
        "Square the difference of each pixel first. Then two sums: over the part, and over everything.",
        "`squared[part]` picks the pixels of the part once the channels are summed away. Bytes must become floats before you subtract. And "
        "where nothing is wrong, return 0.",
        "squared = np.square(told.astype(float) - real.astype(float)).sum(-1); total = squared.sum(); "
        "float(squared[part].sum() / total) if total > 0 else 0.0",
    ),
)

# --- 13.3 a probe -------------------------------------------------------------------------------

LINE = np.array([[9.0], [10.0], [11.0]])  # mean 10, variance 2/3


def observe_probe(f):
    """A line, with and without a penalty; and two inputs of different size."""
    two = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 3.0], [0.0, -3.0]])
    both = np.array([[2.0], [0.0], [4.0], [-2.0]])
    return {
        "y = 2 x + 1 at x = 0 and 20, a penalty of 0": f(LINE, 2 * LINE + 1, np.array([[0.0], [20.0]]), 0.0),
        "the same, a penalty of 1": f(LINE, 2 * LINE + 1, np.array([[0.0], [20.0]]), 1.0),
        "two inputs of different size, a penalty of 1": f(two, both, np.eye(2), 1.0),
        "y that never changes, the default penalty": f(LINE, 0 * LINE + 3, np.array([[50.0]])),
    }


def expected_probe():
    """A penalty of 1 times the variance halves the slope of a single input: 21 + 1 * (x - 10).

    Two inputs: variances 1/2 and 9/2, their mean 5/2; covariances with y 1/2 and 9/2; y's mean 1.
    """
    slopes = np.array([0.5 / (0.5 + 2.5), 4.5 / (4.5 + 2.5)])
    return {
        "y = 2 x + 1 at x = 0 and 20, a penalty of 0": np.array([[1.0], [41.0]]),
        "the same, a penalty of 1": np.array([[11.0], [31.0]]),
        "two inputs of different size, a penalty of 1": 1 + slopes[:, None],
        "y that never changes, the default penalty": np.array([[3.0]]),
    }


def probe_with(
    centre=lambda x, x_test: x.mean(0),
    mean=lambda y: y.mean(0),
    penalty=lambda gram, count, ridge: ridge * np.trace(gram) / len(gram) * np.eye(len(gram)),
    origin=lambda centre, x_test: centre,
    add_back=True,
):
    """The probe with one place changed."""

    def wrong(x, y, x_test, ridge=1e-3):
        c, m = centre(x, x_test), mean(y)
        x = x - c
        gram = x.T @ x / len(x)
        weights = np.linalg.lstsq(gram + penalty(gram, len(x), ridge), x.T @ (y - m) / len(x), rcond=None)[0]
        return (x_test - origin(c, x_test)) @ weights + (m if add_back else 0.0)

    return wrong


def read_out(d: Draw, rows: int, features: int, entries: int, tests: int) -> tuple:
    """Arguments: features that lie away from 0, each of its own size, and what they say, with noise."""
    size = d.uniform(0.3, 3.0, features)
    x, x_test = (size * d.normal(count, features) + d.uniform(-4, 4, 1) for count in (rows, tests))
    y = x @ d.normal(features, entries) + 0.3 * d.normal(rows, entries) + 5
    return *(part.double().numpy() for part in (x, y, x_test)), d.number(0.05, 0.5)


PROBE = Exercise(
    id="13.3",
    title="A probe: what can be read off?",
    minutes=12,
    difficulty=3,
    importance=3,
    reference=latent_map.probe,
    target="dreamer_core.viz.latent_map:probe",
    observe=observe_probe,
    expected=expected_probe,
    gradients=False,
    looks=(
        Look("30 rows of 4 features, 2 entries to read", lambda d: read_out(d, 30, 4, 2, 7)),
        Look("one feature and one entry", lambda d: read_out(d, 12, 1, 1, 5)),
        Look("more features than rows", lambda d: read_out(d, 6, 9, 3, 4)),
        Look("a single row to read", lambda d: read_out(d, 20, 3, 2, 1)),
        Look("the default penalty", lambda d: read_out(d, 9, 8, 2, 5)[:3]),
        Look("no penalty", lambda d: (*read_out(d, 25, 3, 2, 6)[:3], 0.0)),
    ),
    mistakes=(
        Mistake(
            "no_intercept",
            probe_with(centre=lambda x, x_test: 0 * x[0], mean=lambda y: 0 * y[0]),
            "The line is forced through 0. Take the means off x and y first, and put the mean of y back at the end.",
        ),
        Mistake(
            "centred_by_the_test",
            probe_with(origin=lambda centre, x_test: x_test.mean(0)),
            "x_test is centred by its own mean. The probe knows nothing of the test: use the mean of x for both.",
        ),
        Mistake("mean_lost", probe_with(add_back=False), "The mean of y was taken off and not put back."),
        Mistake(
            "penalty_without_a_unit",
            probe_with(penalty=lambda gram, count, ridge: ridge * np.eye(len(gram))),
            "The penalty is `ridge` itself, whatever x is counted in. Make it relative: times the mean variance of the features.",
        ),
        Mistake(
            "no_penalty",
            probe_with(penalty=lambda gram, count, ridge: 0 * gram),
            "There is no penalty. With more features than rows many readings fit what was seen, and the one that is found explodes "
            "elsewhere.",
        ),
        Mistake(
            "total_variance",
            probe_with(penalty=lambda gram, count, ridge: ridge * np.trace(gram) * np.eye(len(gram))),
            "The penalty is relative to the sum of the variances. It is to be their mean: divide by the number of features.",
        ),
        Mistake(
            "penalty_per_row",
            probe_with(penalty=lambda gram, count, ridge: ridge * np.trace(gram) / len(gram) / count * np.eye(len(gram))),
            "Gram matrix and penalty are not divided alike: if you add up over the rows on one side, do so in the penalty as well.",
        ),
    ),
    hints=(
        "Take the means off x and y. What is left is a least-squares problem with a closed form, and a penalty on the diagonal.",
        "gram = x.T @ x / len(x) holds the variances on its diagonal; their mean is np.trace(gram) / len(gram).",
        "weights = np.linalg.solve(gram + ridge * np.trace(gram) / len(gram) * np.eye(len(gram)), x.T @ (y - mean) / len(x)); then "
        "(x_test - centre) @ weights + mean.",
    ),
)

# --- 13.4 a hand before the eyes ----------------------------------------------------------------


def white(rows: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """White frames of 2 x 3 pixels, and a part: the left column."""
    part = np.zeros((2, 3), bool)
    part[:, 0] = True
    return np.full((rows, 2, 3, 1), 255, np.uint8), part


def observe_occlude(f):
    """Rows 1 and 2 of four."""
    seen, part = white()
    covered = f(seen, 1, 3, part)
    return {
        "white frames whose left column is covered in rows 1 and 2": np.asarray(covered).astype(float),
        "whether the frames that were handed in are as they were": bool((seen == 255).all()),
        "whether bytes stay bytes": getattr(covered, "dtype", None) == np.uint8,
    }


def expected_occlude():
    """By hand."""
    covered = np.full((4, 2, 3, 1), 255.0)
    covered[1, :, 0] = covered[2, :, 0] = 0
    return {
        "white frames whose left column is covered in rows 1 and 2": covered,
        "whether the frames that were handed in are as they were": True,
        "whether bytes stay bytes": True,
    }


def occlude_with(
    take=lambda frames: frames.copy(), rows=lambda start, stop: slice(start, stop), chosen=lambda part: part, ink=lambda frames: 0
):
    """Occlusion with one place changed."""

    def wrong(frames, start, stop, part):
        covered = take(frames)
        covered[rows(start, stop), chosen(part)] = ink(frames)
        return covered

    return wrong


def shown(d: Draw, rows: int, channels: int, start: int, stop: int) -> tuple:
    """Frames of 4 x 5 pixels, some rows, and some part."""
    return d.integers(1, 256, rows, 4, 5, channels).numpy().astype(np.uint8), start, stop, d.mask(4, 5).numpy().astype(bool)


OCCLUDE = Exercise(
    id="13.4",
    title="A hand before the eyes",
    minutes=4,
    difficulty=1,
    importance=1,
    reference=frames.occlude,
    target="dreamer_core.viz.frames:occlude",
    observe=observe_occlude,
    expected=expected_occlude,
    gradients=False,
    looks=(
        Look("6 grey frames", lambda d: shown(d, 6, 1, 2, 5)),
        Look("frames in colours", lambda d: shown(d, 5, 3, 1, 3)),
        Look("all rows covered", lambda d: shown(d, 4, 1, 0, 4)),
        Look("no row covered", lambda d: shown(d, 4, 1, 2, 2)),
        Look("the last row covered", lambda d: shown(d, 4, 1, 3, 4)),
    ),
    mistakes=(
        Mistake(
            "in_place",
            occlude_with(take=lambda frames: frames),
            "The frames that were handed in are changed, and the recording is lost. Work on a copy.",
        ),
        Mistake(
            "stop_included",
            occlude_with(rows=lambda start, stop: slice(start, stop + 1)),
            "Row `stop` is covered too. As in a slice, it is the first one that is seen again.",
        ),
        Mistake("always", occlude_with(rows=lambda start, stop: slice(None)), "All rows are covered, not those from start to stop - 1."),
        Mistake("other_part", occlude_with(chosen=np.logical_not), "The rest is covered: part is True where nothing is to be seen."),
        Mistake(
            "whole_frame",
            occlude_with(chosen=lambda part: np.ones_like(part)),
            "The whole frame is covered, not the part alone.",
        ),
        Mistake("white", occlude_with(ink=lambda frames: 255), "What is covered is white. Black is 0."),
        Mistake(
            "numbers",
            occlude_with(take=lambda frames: frames.astype(float)),
            "The bytes have become other numbers. A copy keeps the type: frames.copy().",
        ),
    ),
    hints=(
        "Copy first. Then one assignment does it: rows first, then the part.",
        "A slice and a mask together: covered[start:stop, part] = 0.",
    ),
)

EXERCISES = [ASSEMBLE, SHARE, PROBE, OCCLUDE]
