"""What a function does to the process it is checked in, and that nothing of it is left."""

import builtins
import ctypes
import functools
import gc
import itertools
import locale
import os
import random
import signal
import sys
import threading
import time
import warnings

import nbformat
import numpy as np
import pytest
import torch
from nbclient import NotebookClient

from classroom.toys import STRAIGHT
from dreamer_core.classroom import contain
from dreamer_core.classroom import judge as judging
from dreamer_core.classroom.contain import Lost, OutOfTime, apart, kept, time_limit
from dreamer_core.classroom.exercises import collect
from dreamer_core.classroom.judge import judge

EXERCISES = collect()


@pytest.fixture(params=["in a child", "in this process"])
def place(request, monkeypatch):
    """Both places in which a function may be checked."""
    if request.param == "in this process":
        monkeypatch.delattr(os, "fork")
    elif not hasattr(os, "fork") or sys.platform == "darwin":
        pytest.skip("no child process here")
    return request.param


in_a_child = pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="no child process here")


def right(probs, one_hot):
    return one_hot + probs - probs.detach()


def look() -> dict:
    """What a process is like."""
    return {setting.name: setting.get() for setting in contain.SETTINGS} | {
        "recursion limit": sys.getrecursionlimit(),
        "grad": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "filters": list(warnings.filters),
        "python": random.getstate(),
        "numpy": str(np.random.get_state()),
        "torch": torch.get_rng_state().tolist(),
    }


held = []  # what a function leaves open
MEDDLING = {
    "default dtype": lambda: torch.set_default_dtype(torch.float64),
    "default device": lambda: torch.set_default_device("meta"),
    "no gradient": lambda: torch.set_grad_enabled(False),
    "inference mode": lambda: (held.append(torch.inference_mode()), held[-1].__enter__()),
    "anomaly mode": lambda: torch.autograd.set_detect_anomaly(True),
    "deterministic mode": lambda: torch.use_deterministic_algorithms(True, warn_only=True),
    "threads": lambda: torch.set_num_threads(3),
    "precision": lambda: torch.set_float32_matmul_precision("medium"),
    "autocast": lambda: (held.append(torch.autocast("cpu")), held[-1].__enter__()),
    "flush": lambda: torch.set_flush_denormal(True),
    "seeds": lambda: (torch.manual_seed(1), np.random.seed(1), random.seed(1)),
    "seterr": lambda: np.seterr(all="raise"),
    "print options": lambda: np.set_printoptions(precision=2),
    "cwd": lambda: os.chdir("/"),
    "environment": lambda: (os.environ.update(A_NEW_ONE="1"), os.environ.pop("PATH", None)),
    "path": lambda: sys.path.insert(0, "/nowhere"),
    "locale": lambda: locale.setlocale(locale.LC_ALL, "C.UTF-8"),
    "signals": lambda: (signal.signal(signal.SIGINT, signal.SIG_IGN), signal.signal(signal.SIGTERM, lambda *_: None)),
    "garbage": lambda: gc.disable(),
    "recursion limit": lambda: sys.setrecursionlimit(sys.getrecursionlimit() // 2),
    "streams": lambda: (setattr(sys, "stdout", None), setattr(sys, "stderr", None), setattr(sys, "stdin", None)),
    "closed streams": lambda: (sys.stdout.close(), sys.stderr.close()),
    "warnings": lambda: warnings.simplefilter("error"),
    "builtins": lambda: (setattr(builtins, "sum", max), setattr(builtins, "a_new_one", 1)),
    "tracing": lambda: sys.settrace(lambda *_: None),
}


@pytest.mark.parametrize("name", MEDDLING)
def test_a_right_answer_that_changes_the_process_is_right_and_the_change_is_put_back(name, place):
    def meddles(probs, one_hot):
        result = right(probs, one_hot)
        MEDDLING[name]()
        return result

    before = look()
    try:
        verdict = judge(STRAIGHT, meddles)
    finally:
        held.clear()
    assert verdict.right, f"refused because it changes the {name}: {verdict.message}"
    after = look()
    left = [key for key in before if not contain.same(before[key], after[key])]
    assert not left, f"{place}, an answer that changes the {name} leaves behind: {left}"


@pytest.mark.parametrize("number", EXERCISES)
def test_a_right_answer_that_changes_what_torch_makes_by_default_is_right_in_every_exercise(number):
    """The reference and the next inputs are made after the first call: they must not be of another type, or nowhere."""
    reference = EXERCISES[number].reference

    def meddles(*args, **kwargs):
        try:
            return reference(*args, **kwargs)
        finally:
            torch.set_default_dtype(torch.float64)
            torch.set_default_device("meta")
            torch.set_grad_enabled(False)
            np.seterr(all="raise")

    verdict = judge(EXERCISES[number], meddles)
    assert verdict.right, f"{number} is refused because of what the answer changes in the process: {verdict.message}"


def test_what_a_block_changes_is_named():
    with kept() as found:
        torch.set_default_dtype(torch.float64)
        os.environ["A_NEW_ONE"] = "1"
    assert found == ["torch's default dtype", "the environment variables"] and "A_NEW_ONE" not in os.environ
    with kept() as found:
        torch.rand(1), random.random(), np.random.rand()  # drawing is no change
    assert found == []


def test_drawing_at_random_draws_other_numbers_next_time():
    with kept():
        first = torch.rand(1), random.random(), np.random.rand()
    with kept():
        again = torch.rand(1), random.random(), np.random.rand()
    assert all(a != b for a, b in zip(first, again)), "each call starts from the same random state"


# --- time ---------------------------------------------------------------------------------------


def swallow_all():
    while True:
        try:
            sum(range(1000))
        except:  # noqa: E722
            pass


def swallow_twice():
    while True:
        try:
            swallow_all()
        except:  # noqa: E722
            continue


def no_alarm():
    signal.setitimer(signal.ITIMER_REAL, 0)
    while True:
        pass


def ignore_alarm():
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    while True:
        pass


UNSTOPPABLE = {
    "two bare excepts": swallow_twice,
    "a long call in C": lambda: sum(range(10**12)),
    "the clock turned off": no_alarm,
    "the clock ignored": ignore_alarm,
    "waiting": lambda: threading.Event().wait(),
}


def test_an_endless_loop_that_swallows_every_error_is_stopped(place, monkeypatch):
    monkeypatch.setattr(judging, "SECONDS", 0.3)
    assert "still running" in judge(STRAIGHT, lambda *_: swallow_all()).message


@in_a_child
@pytest.mark.parametrize("name", UNSTOPPABLE)
def test_what_no_clock_stops_is_killed(name, monkeypatch):
    monkeypatch.setattr(judging, "SECONDS", 0.3)
    monkeypatch.setattr(judging, "GRACE", 0.3)
    assert "still running after 0.3 seconds" in judge(STRAIGHT, lambda *_: UNSTOPPABLE[name]()).message


def test_the_clock_stops_what_swallows_it_and_leaves_no_trace():
    trace = sys.gettrace()
    with pytest.raises(OutOfTime), time_limit(0.05):
        swallow_all()
    assert sys.gettrace() is trace
    for _ in range(1000):  # would raise if a frame were still traced, or the clock still ran
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@pytest.fixture
def busy(monkeypatch):
    """A machine that gives its processes a tenth of a core."""
    monkeypatch.setattr(contain.Watch, "waited", lambda self: 0.9 * time.monotonic())


def test_the_time_for_which_there_was_no_core_does_not_count(busy):
    begun = time.monotonic()
    with pytest.raises(OutOfTime), time_limit(0.05):
        while True:
            pass
    assert time.monotonic() - begun > 0.45


@in_a_child
def test_a_child_that_waits_for_a_core_is_heard(busy):
    def late():
        time.sleep(0.4)
        yield "heard"

    assert apart(late, 0.1) == "heard"


@pytest.mark.skipif(not os.path.exists("/proc/self/schedstat"), reason="the system does not tell")
def test_who_sleeps_does_not_wait_for_a_core():
    own = contain.Watch()
    time.sleep(0.2)
    assert own.waited() > 0 and 0 < own.read() < 10
    with pytest.raises(OutOfTime), time_limit(0.05):
        time.sleep(600)


@in_a_child
def test_a_right_answer_is_right_where_the_search_for_a_reason_is_killed(monkeypatch):
    """The search calls a function with other inputs: there a wrong one may hang. It is wrong all the same."""
    monkeypatch.setattr(judging, "GRACE", 0.3)
    monkeypatch.setattr(judging, "SECONDS", 0.3)
    monkeypatch.setattr(judging, "compare", lambda *_: sum(range(10**12)))
    verdict = judge(STRAIGHT, lambda probs, one_hot: one_hot)
    assert not verdict.right and "broke off the search" in verdict.message


# --- a process of its own -------------------------------------------------------------------------


def fork_too():
    os.fork()  # both go on


ENDINGS = {
    "os._exit": (lambda: os._exit(3), "ended the whole process"),
    "os._exit(0)": (lambda: os._exit(0), "ended the whole process"),
    "a crash in C": (lambda: ctypes.string_at(0), "crashed the process in which it was checked (SIGSEGV)"),
    "abort": (lambda: os.abort(), "crashed the process in which it was checked (SIGABRT)"),
    "killed": (lambda: os.kill(os.getpid(), signal.SIGKILL), "was killed"),
    "all files closed": (lambda: os.closerange(0, 1000), "closed the files"),
    "sys.exit": (lambda: sys.exit(2), "SystemExit"),
    "exit": (lambda: exit(), "SystemExit"),
    "too much memory": (lambda: bytearray(10**12), "MemoryError"),
    "memory bit by bit": (lambda: [bytearray(10**8) for _ in itertools.count()], "MemoryError"),
    "recursion": (lambda: (again := lambda n: again(n))(1), "RecursionError"),
    "recursion without a limit": (lambda: (sys.setrecursionlimit(2**31 - 1), (again := lambda n: again([n]))(1)), "MemoryError"),
    "input": (lambda: input("yes?"), "EOFError: input() has nobody to ask"),
    "closed stdout": (lambda: (os.close(1), os.close(2), sys.__stdout__.close()), "a tuple of 3"),
}


@in_a_child
@pytest.mark.parametrize("name", ENDINGS)
def test_a_process_that_ends_costs_one_sentence(name, monkeypatch):
    monkeypatch.setattr(contain, "MEMORY", 2**27)
    does, expected = ENDINGS[name]
    verdict = judge(STRAIGHT, lambda *_: does())
    assert not verdict.right and expected in verdict.message, verdict.message
    assert "\n" not in verdict.message and judge(STRAIGHT, right).right


@in_a_child
def test_a_function_that_forks_gets_one_verdict(capfd):
    here = os.getpid()
    verdict = judge(STRAIGHT, lambda probs, one_hot: (fork_too(), right(probs, one_hot))[1])
    assert verdict.right and os.getpid() == here, "the learner's own child came out of the check"


@in_a_child
def test_prints_of_a_child_are_shown_once_and_nowhere_else(capfd):
    def talks(probs, one_hot):
        print("by print")
        print("to stderr", file=sys.stderr)
        os.write(1, b"past python\n")
        return right(probs, one_hot)

    print("before", end="")  # not flushed: a child must not write it again
    verdict = judge(STRAIGHT, talks)
    assert verdict.right and verdict.printed.startswith("by print\nto stderr\n")
    out, err = capfd.readouterr()
    assert (out, err) == ("before", "")


@in_a_child
def test_stopping_the_kernel_ends_the_child(monkeypatch):
    children = []
    fork = os.fork
    monkeypatch.setattr(os, "fork", lambda: children.append(fork()) or children[-1])
    timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits that it is ignored
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            judge(STRAIGHT, lambda *_: sum(range(10**12)))
        timer.join()
    finally:
        signal.signal(signal.SIGINT, before)
    with pytest.raises(ProcessLookupError):  # it is gone, and was waited for
        os.kill(children[0], 0)


@in_a_child
def test_an_error_of_the_work_itself_comes_through():
    def broken():
        raise LookupError("in the child")
        yield

    with pytest.raises(LookupError, match="in the child"):
        apart(broken, 5)

    class Local(Exception):
        """Cannot be sent."""

    def unsendable():
        raise Local("here")
        yield

    with pytest.raises(RuntimeError, match="Local"):
        apart(unsendable, 5)


@in_a_child
def test_words_that_are_none_end_in_a_sentence(monkeypatch):
    pipes = []
    pipe = contain.Pipe
    monkeypatch.setattr(contain, "Pipe", lambda duplex: pipes.append(pipe(duplex)) or pipes[-1])

    def scribbles():
        os.write(pipes[0][1].fileno(), b"\x00\x00\x00\x02xx")
        yield 1

    with pytest.raises(Lost, match="ended the whole process"):
        apart(scribbles, 5)


@in_a_child
def test_no_warning_about_forking_is_shown():
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        waits = threading.Event()
        threading.Thread(target=waits.wait).start()  # from Python 3.12 on, a fork beside a thread warns
        try:
            judge(STRAIGHT, right)
        finally:
            waits.set()
    assert not [str(each.message) for each in shown if "fork" in str(each.message)]


def test_outside_the_main_thread_it_is_checked_all_the_same():
    found = []
    thread = threading.Thread(target=lambda: found.append(judge(STRAIGHT, right)))
    thread.start()
    thread.join()
    assert found and found[0].right


def test_where_gradients_do_not_survive_a_fork_it_is_checked_here(monkeypatch):
    monkeypatch.setattr(contain, "gradients_work", lambda: False)
    pids = []
    assert judge(STRAIGHT, lambda probs, one_hot: (pids.append(os.getpid()), right(probs, one_hot))[1]).right
    assert set(pids) == {os.getpid()}


@in_a_child
def test_it_is_checked_after_torch_has_used_several_threads():
    """OpenMP's threads are not in a child: it must not wait for them."""
    torch.set_num_threads(2)
    large = torch.randn(600, 600)

    def computes(probs, one_hot):
        (large @ large).exp().sum()
        return right(probs, one_hot)

    (large @ large).exp().sum()
    assert judge(STRAIGHT, computes).right


# --- objects that answer in their own way -----------------------------------------------------------


def raises(*_, **__):
    raise RuntimeError("strange")


def exits(*_, **__):
    raise SystemExit("strange")


def hostile(base, *names, does=raises):
    """An object of a class whose methods of these names raise."""
    body = {name: property(does) if name == "__class__" else does for name in names}
    if base is torch.Tensor:
        return torch.ones(1, 2).as_subclass(type("Odd", (base,), body))
    if base is np.ndarray:
        return np.ones((1, 2), np.float32).view(type("Odd", (base,), body))
    return type("Odd", (base,), body)()


NAMES = [
    "__class__",
    "__getattr__",
    "__eq__",
    "__len__",
    "__repr__",
    "__str__",
    "__bool__",
    "__iter__",
    "__float__",
    "__format__",
    "__hash__",
]
BASES = (object, torch.Tensor, np.ndarray, float, int, str, tuple, list, dict)


def odd_results():
    for base, name in itertools.product(BASES, NAMES):
        yield f"a {base.__name__} whose {name} raises", lambda base=base, name=name: hostile(base, name)
    for base in BASES:
        yield f"a {base.__name__} whose everything raises", lambda base=base: hostile(base, *NAMES)
        yield f"a {base.__name__} whose everything exits", lambda base=base: hostile(base, *NAMES, does=exits)
    yield "torch function", lambda: hostile(torch.Tensor, "__torch_function__")
    yield "meta", lambda: torch.ones(1, 2, device="meta")
    yield "sparse", lambda: torch.ones(1, 2).to_sparse()
    yield "complex", lambda: torch.ones(1, 2, dtype=torch.complex64)
    yield "quantized", lambda: torch.quantize_per_tensor(torch.ones(1, 2), 0.1, 0, torch.quint8)
    yield "nested", lambda: torch.nested.nested_tensor([torch.ones(2)])
    yield "bfloat16", lambda: torch.ones(1, 2, dtype=torch.bfloat16)
    yield "huge string", lambda: "x" * 10**7
    yield "huge int", lambda: 10**5000
    yield "generator", lambda: (x for x in [torch.ones(1, 2)])
    yield "stacked view", lambda: torch.ones(1).expand(1, 2)
    yield "overlapping", lambda: torch.ones(2).as_strided((1, 2), (0, 0))
    yield "object array", lambda: np.array([[object(), None]])
    yield "parameter", lambda: torch.nn.Parameter(torch.ones(1, 2))
    yield "module", lambda: torch.nn.Linear(1, 1)
    yield "coroutine", lambda: coroutine()
    yield "lock", lambda: threading.Lock()


async def coroutine():
    return 1


RESULTS = dict(odd_results())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", RESULTS)
def test_no_result_however_odd_ends_in_a_traceback(toy_lesson, capsys, name):
    for number in toy_lesson.EXERCISES:
        toy_lesson.exercise(number)(lambda *_: RESULTS[name]())
        out = capsys.readouterr().out
        assert out.count("✗") == 1 and "Traceback" not in out and "fault of the course" not in out, out
        assert max(map(len, out.splitlines())) < 1000, "an endless sentence"


class Callable:
    def __call__(self, probs, one_hot):
        return one_hot / missing  # noqa: F821


class HostileCallable:
    def __getattribute__(self, name):
        raise RuntimeError("strange")

    def __call__(self, probs, one_hot):
        return one_hot


class Meta(type):
    def __getattribute__(cls, name):
        raise RuntimeError("strange")


class HostileClass(metaclass=Meta):
    pass


def generator(probs, one_hot):
    yield one_hot


async def asynchronous(probs, one_hot):
    return one_hot


async def asynchronous_generator(probs, one_hot):
    yield one_hot


@functools.lru_cache
def cached(probs, one_hot):
    return one_hot


class Raised(Exception):
    """Cannot be sent to another process, and does not even tell its name."""

    def __init__(self, one, two):
        super().__init__(one)

    __str__ = __repr__ = __reduce__ = raises


def raising(probs, one_hot):
    raise Raised(1, 2)


ODD_FUNCTIONS = {
    "an object that can be called": Callable(),
    "a hostile object": HostileCallable(),
    "a hostile class": HostileClass,
    "a class": type("Odd", (), {"__init__": lambda *_: None}),
    "a generator function": generator,
    "an async function": asynchronous,
    "an async generator": asynchronous_generator,
    "a partial": functools.partial(lambda scale, probs, one_hot: one_hot * scale, 2),
    "a method": Callable().__call__,
    "a cached function": cached,
    "a builtin": len,
    "a ufunc": np.add,
    "a module": torch.nn.Identity(),
    "torch's": torch.dot,
    "a hostile error": raising,
    "no function at all": hostile(object, *NAMES),
    "a number": 3,
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ODD_FUNCTIONS)
def test_no_function_however_odd_ends_in_a_traceback(toy_lesson, capsys, name):
    for number in ("9.1", "9.2"):
        toy_lesson.exercise(number)(ODD_FUNCTIONS[name])
        out = capsys.readouterr().out
        assert ("✗" in out or "·" in out) and "Traceback" not in out and "fault of the course" not in out, out


def test_the_line_of_a_crash_is_found_below_decorators_and_objects():
    for function in (Callable(), functools.partial(Callable()), torch.no_grad()(Callable.__call__.__get__(Callable()))):
        assert "in `return one_hot / missing" in judge(STRAIGHT, function).message


# --- a notebook ------------------------------------------------------------------------------------

START = """
import os, sys, torch
kernel = os.getpid()
torch.randn(500, 500) @ torch.randn(500, 500)
from dreamer_core.classroom import judge as judging, exercise
judging.SECONDS = 1
"""
BODIES = [
    'print("talk")\n    import os\n    os.write(1, b"past")',
    "import sys\n    sys.stdout.close()",
    "sum(range(10**12))",
    "os._exit(1)",
]
ANSWER = """
@exercise("2.3")
def soft_value(q, log_prob, alpha):
    {}
    return q - alpha * log_prob
"""
END = 'print("the kernel is alive", os.getpid() == kernel)'


def test_it_works_inside_a_notebook(tmp_path):
    sources = [START, *map(ANSWER.format, BODIES), END]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    names = {"DREAMER_LEDGER": str(tmp_path / "answers.json"), "PYTHONPATH": os.pathsep.join(sys.path)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in names.items():
            patch.setenv(name, value)
        NotebookClient(notebook, timeout=600, startup_timeout=600).execute()
    out = ["".join(output.get("text", "") for output in cell.outputs) for cell in notebook.cells]
    assert not [output for cell in notebook.cells for output in cell.outputs if output.get("name") == "stderr"], "something on stderr"
    talk, closing, long, leaving, last = out[1:]
    assert talk.count("✓ 2.3") == 1 and "Your function printed:\n    talk" in talk and "past" not in talk, talk
    assert "✓ 2.3" in closing, closing
    assert "still running" in long, long
    assert "ended the whole process" in leaving, leaving
    assert last == "the kernel is alive True\n"
