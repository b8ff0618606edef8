"""An answer in its room: it shows the judge what it would show in one process, and neither cheats nor does harm."""

import base64
import inspect
import sys

import cloudpickle
import numpy as np
import pytest
import torch

from dreamer_core.classroom import right_answers
from dreamer_core.classroom.contain import quiet
from dreamer_core.classroom.judge import alike, outcome
from dreamer_core.classroom.lesson import EXERCISES
from dreamer_core.classroom.second_look import alike as shown_alike
from dreamer_core.classroom.second_look import as_it_should, cases, sight, truth
from dreamer_core.grading.remote import Answer, Ended, Limits, Rooms, Unread, by_value

SHORT = Limits(seconds=1.0, memory=2**28)
ASKED = EXERCISES["3.2"]


def text_of(function):
    """A text that makes a function as it is here, with the names of its module."""
    with by_value():
        blob = base64.b64encode(cloudpickle.dumps(function)).decode()
    return f"import base64, cloudpickle\nanswer = cloudpickle.loads(base64.b64decode('{blob}'))\n"


def answering(body, head="def answer(mean, std, noise):"):
    return "import torch\n" + head + "".join(f"\n    {line}" for line in body.splitlines()) + "\n"


@pytest.mark.parametrize("number", EXERCISES)
def test_a_right_answer_is_right_in_its_room(rooms, number):
    """One of those in another style than the course's, on inputs that the course does not use."""
    asked = EXERCISES[number]
    (right, *_) = right_answers.of(number)
    source = inspect.getsource(sys.modules[right.__module__]) + f"\nanswer = RIGHT[{number!r}][0]\n"
    with rooms.started() as process, quiet(), np.errstate(all="ignore"):
        answer = Answer(process, asked, source, "answer", Limits(60))
        seen, wanted = outcome(asked, answer.function), outcome(asked, right)
        assert alike(seen, wanted), f"observed through the room: {seen}\nin one process: {wanted}"
        for case in cases(asked, salt=" 5"):
            found = sight(asked, answer.function, case)
            assert as_it_should(found, truth(asked, case), case.look.within), f"with {case.look.name} the room shows {found}"


@pytest.mark.parametrize("number", [number for number in EXERCISES if number != "1.1"])  # all of whose mistakes are made of its answer
def test_a_mistake_shows_the_same_in_its_room(rooms, number):
    """The last named mistake that is not made of the course's own answer, which a room does not have."""
    asked, compared = EXERCISES[number], ""
    for mistake in reversed(asked.mistakes):
        with rooms.started() as process, quiet(), np.errstate(all="ignore"):
            try:
                answer = Answer(process, asked, text_of(mistake.wrong), "answer", Limits(60))
                assert alike(outcome(asked, answer.function), outcome(asked, mistake.wrong)), (
                    f"{mistake.name} is observed otherwise in its room"
                )
                answer.restore()
                for case in [case for case in cases(asked) if not case.look.within][:6]:
                    found, wanted = sight(asked, answer.function, case), sight(asked, mistake.wrong, case)
                    answer.restore()
                    assert shown_alike(found, wanted), f"{mistake.name} with {case.look.name} shows\n{found}\nand in one process\n{wanted}"
            except Ended as ended:
                assert "which is the answer itself" in ended.sentence, f"{mistake.name}: {ended.sentence}"
                continue
        compared = mistake.name
        break
    assert compared, f"every mistake of {number} is made of the course's own answer: nothing was compared"


def test_what_an_answer_does_to_its_inputs_reaches_the_judge_and_is_taken_back(rooms):
    number, array, row, told = torch.ones(2), np.ones(2), [1, 2], {"a": 1}
    linear = torch.nn.Linear(2, 1)
    before = linear.weight.detach().clone()
    body = """number.mul_(3); array[0] = 7; row.append(5); told["b"] = number; linear.eval()
with torch.no_grad(): linear.weight.zero_()
linear.bias = torch.nn.Parameter(torch.full((1,), 4.0))"""
    with rooms.started() as process:
        answer = Answer(process, ASKED, answering(body, "def answer(number, array, row, told, linear):"), "answer", SHORT)
        answer.function(number, array, row, told, linear)
        assert (number.tolist(), array.tolist(), row, linear.training) == ([3.0, 3.0], [7.0, 1.0], [1, 2, 5], False)
        assert told["b"] is number and linear.bias.item() == 4.0 and not linear.weight.any(), "what was put into the inputs did not arrive"
        answer.restore()
    assert (number.tolist(), array.tolist(), row, told, linear.training) == ([1.0, 1.0], [1.0, 1.0], [1, 2], {"a": 1}, True)
    assert torch.equal(linear.weight, before), "an input that belongs to an exercise would stay changed for the next student"


def test_a_gradient_goes_through_the_room(rooms):
    """d/dx of x y^2 + y, mixed with weights 1 and 2: (y^2, 2 x y + 1), by hand."""
    x, y = torch.tensor([2.0, 3.0], requires_grad=True), torch.tensor([5.0, 7.0], requires_grad=True)
    with rooms.started() as process:
        answer = Answer(process, ASKED, answering("return {'z': x * y**2 + y, 'cut': x.detach()}", "def answer(x, y):"), "answer", SHORT)
        out = answer.function(x, y)
        assert not out["cut"].requires_grad
        (out["z"] * torch.tensor([1.0, 2.0])).sum().backward()
    assert x.grad.tolist() == [25.0, 98.0] and y.grad.tolist() == [21.0, 86.0]


def test_an_error_comes_with_its_kind_words_and_line(rooms):
    with rooms.started() as process:
        answer = Answer(process, ASKED, answering("return mean / missing_name"), "answer", SHORT)
        seen = outcome(ASKED, answer.function)
    assert "NameError: name 'missing_name' is not defined, in `return mean / missing_name`" in str(seen), str(seen)


def test_a_text_that_cannot_be_run_is_a_sentence_with_its_line(rooms):
    with rooms.started() as process, pytest.raises(Unread, match=r"ModuleNotFoundError: No module named 'nowhere', in `import nowhere`"):
        Answer(process, ASKED, "import nowhere\ndef answer(a): return a", "answer", SHORT)


# --- saboteurs ----------------------------------------------------------------------------------------------

UNFAIR = {
    "the course's own answer": (
        "from dreamer_core.latents import gaussian_sample as g\nreturn g(mean, std, noise)",
        "which is the answer itself",
    ),
    "through a part of the agent": (
        "from dreamer_core.latents import GaussianLatent as L\nreturn L(mean.shape[-1], 0.0).sample(torch.cat([mean, std], -1), noise)",
        "`dreamer_core.latents.gaussian_sample`, which is the answer itself",
    ),
    "the course's text": (
        "import dreamer_core.latents as l\nopen(l.__file__).read()",
        r"reads the course's own files \(dreamer_core/latents.py\)",
    ),
    "inspect": ("import inspect, dreamer_core.rssm as l\ninspect.getsource(l.RSSM)", "reads the course's own files"),
    "reload": ("import importlib, dreamer_core.latents as l\nimportlib.reload(l)", "reads the course's own files"),
    "the exercises": (
        "__import__('dreamer_core.class' + 'room.lesson')",
        "reads the course's own files|imports the course's own exercises",
    ),
    "a file": ("open('marks.csv', 'w').write('forged')", "writes to a file"),
    "a program": ("import subprocess\nsubprocess.run(['true'])", "starts another program"),
    "a process": ("import os\nos.fork()", "starts another process"),
    "a connection": ("import socket\nsocket.socket()", "opens a connection"),
    "C": ("import ctypes\nctypes.CDLL(None)", "reaches past Python"),
    "its limits": ("import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (9, 9))", "changes the limits"),
    "forged messages": (
        "import os\nfor i in range(3, 64):\n  try: os.write(i, b'right' * 99)\n  except OSError: pass",
        "files that belong to its check",
    ),
}


@pytest.mark.parametrize("means", UNFAIR)
def test_means_that_earn_nothing_are_told(rooms, means):
    body, said = UNFAIR[means]
    with rooms.started() as process, pytest.raises(Ended, match=said) as ended:
        Answer(process, ASKED, answering(body + "\nreturn mean"), "answer", SHORT).function(*torch.ones(3, 1, 1))
    assert ended.value.unfair, f"{means}: {ended.value} must count as unfair"


def test_the_batched_way_around_an_answer_is_the_answer_too(rooms):
    """The RSSM unrolls a window in one piece, which gives what exercise 5.4 asks for, and never calls the function that it asks for."""
    asked = EXERCISES["5.4"]
    text = answering("return rssm.observe(h0, embed, action, first, noise)", "def answer(rssm, h0, embed, action, first, noise):")
    case = next(iter(cases(asked)))
    with rooms.started() as process, pytest.raises(Ended, match="observe_plain`, which is the answer itself"):
        sight(asked, Answer(process, asked, text, "answer", SHORT).function, case)


ENDINGS = {
    "exit": ("import os\nos._exit(0)", "ended the whole process"),
    "a crash in C": ("import faulthandler\nfaulthandler._sigsegv()", "crashed the process"),
    "closed files": ("import os\nos.closerange(0, 256)", "ended the whole process"),
    "no end": ("while True:\n  try:\n    while True: pass\n  except BaseException: pass", "still running after 0.5 seconds"),
    "sleep": ("import time\ntime.sleep(1000)", "still running after 0.5 seconds"),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_judge_outlives_an_answer_and_says_how_it_ended(rooms, ending):
    body, said = ENDINGS[ending]
    with rooms.started() as process, pytest.raises(Ended, match=said):
        Answer(process, ASKED, answering(body), "answer", Limits(seconds=0.5)).function(*torch.ones(3, 1, 1))
    with rooms.started() as process:  # and the next answer has a process as if nothing had been
        assert Answer(process, ASKED, answering("return 3"), "answer", SHORT).function(1, 1, 1) == 3


@pytest.mark.parametrize("body", ["x = [0]\nwhile True: x = x + x", "return torch.zeros(10**11)", "x = bytearray(2**34)"])
def test_memory_is_limited(rooms, body):
    with rooms.started() as process:
        answer = Answer(process, ASKED, answering(body), "answer", Limits(seconds=20, memory=2**27))
        with pytest.raises((Ended, Exception)) as error:
            answer.function(*torch.ones(3, 1, 1))
    assert "memory" in f"{type(error.value).__name__} {error.value}".lower(), f"not told as a matter of memory: {error.value!r}"


def test_memory_is_watched_where_the_system_sets_no_limit(rooms, monkeypatch):
    monkeypatch.setattr(Answer, "weight", lambda answer: type(answer.start)(0.0, 10**9 if answer.waited else 0))
    with rooms.started() as process:
        answer = Answer(process, ASKED, answering("import time\ntime.sleep(1000)"), "answer", Limits(seconds=50, memory=10**8))
        answer.waited = 1.0
        with pytest.raises(Ended, match="too much memory"):
            answer.function(*torch.ones(3, 1, 1))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit: there the hook alone keeps files shut, and says so")
def test_no_file_at_all_can_be_opened(rooms):
    """Not past Python either: torch maps a file by itself, and no hook hears of it."""
    for body in (f"return open({__file__!r}).read(3)", f"return torch.from_file({__file__!r}, dtype=torch.uint8, size=3)"):
        with rooms.started() as process:
            answer = Answer(process, ASKED, answering(body), "answer", SHORT)
            with pytest.raises(Exception, match="no file can be opened while an answer is judged"):
                answer.function(*torch.ones(3, 1, 1))


def test_a_room_knows_neither_exercises_nor_their_answers(rooms):
    """No module of the classroom, and the function that is asked for has lost its code under each of its names."""
    body = """import sys, dreamer_core.latents as l
rooms = [name for name in sys.modules if name.startswith("dreamer_core.classroom")]
own = [module for name, module in sys.modules.items() if name.startswith("dreamer_core.")]
named = [f for m in own for f in vars(m).values() if getattr(f, "__qualname__", "") == "gaussian_sample"]
return rooms, [f.__code__.co_filename for f in named], l.gaussian_sample.__code__.co_code.hex()"""
    with rooms.started() as process:
        known, files, code = Answer(process, ASKED, answering(body), "answer", SHORT).function(*torch.ones(3, 1, 1))
    assert not known, f"a room knows {known}"
    assert set(files) == {"<taken out>"} and code != ASKED.reference.__code__.co_code.hex(), "the course's own answer is still there"


def test_one_answer_leaves_nothing_to_the_next(rooms):
    body = "import torch\nold = getattr(torch, 'left', 0)\ntorch.left = old + 1\nreturn old"
    for _ in range(2):
        with rooms.started() as process:
            assert Answer(process, ASKED, answering(body), "answer", SHORT).function(*torch.ones(3, 1, 1)) == 0


def test_a_new_interpreter_serves_where_there_is_no_fork():
    """As on Windows and macOS."""
    with Rooms(warm=False) as cold:
        with cold.started() as process:
            answer = Answer(process, ASKED, answering("return mean + std * noise"), "answer", SHORT)
            assert answer.function(*torch.tensor([1.0, 2.0, 3.0])).item() == 7.0
        with cold.started() as process, pytest.raises(Ended, match="which is the answer itself"):
            Answer(process, ASKED, answering(UNFAIR["the course's own answer"][0]), "answer", SHORT).function(*torch.ones(3, 1, 1))
