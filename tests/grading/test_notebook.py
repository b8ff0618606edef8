"""What is taken out of a notebook: the answers with what they need, and no more; nothing of it is run."""

import pytest

from dreamer_core.grading.notebook import NoNotebook, book_of, read, student_of, submissions
from grading.books import IMPORTS, KL, OPEN, RIGHT_KL, SAMPLE, answer, write


def taken(*cells, number="3.2"):
    return book_of([OPEN, IMPORTS, *cells]).answers[number]


def run(found):
    """The function that an answer's text makes."""
    names = {}
    exec(found.source, names)
    return names[found.name]


def test_an_answer_brings_its_helpers_and_imports_and_nothing_else():
    helper = "SCALE = 2 * HALF\ndef twice(x):\n    return SCALE * later(x)"
    found = taken(
        "HALF = 0.5",
        helper,
        "raise SystemExit('a training of hours')",
        answer(SAMPLE, "return twice(mean)"),
        "def later(x):\n    return x + 1",
    )
    assert run(found)(3.0, None, None) == 4.0, f"mean 3 through a helper that adds 1 is 4; the text was\n{found.source}"
    assert "SystemExit" not in found.source and "import torch" not in found.source, f"what nobody asks for came along:\n{found.source}"


def test_a_name_inside_a_function_does_not_call_for_the_notebooks_cell_of_that_name():
    found = taken("h = open('no such file')", answer(SAMPLE, "h = mean\nreturn h"))
    assert "open" not in found.source, "`h` is the function's own, and a cell that makes another `h` came along"


def test_a_name_that_was_bound_twice_is_the_one_that_held_when_the_cell_ran():
    found = taken("k = 1", "k = 2", answer(SAMPLE, "return k"), "k = 3")
    assert run(found)(0, 0, 0) == 2, "the last binding before the answer counts"


def test_what_a_helper_calls_is_looked_up_when_it_is_called():
    found = taken(
        "def later(x):\n    return 1",
        "def twice(x):\n    return later(x)",
        "def later(x):\n    return 2",
        answer(SAMPLE, "return twice(mean)"),
    )
    assert run(found)(0, 0, 0) == 2, f"the helper calls the `later` that there is when the answer is checked:\n{found.source}"


def test_another_exercises_function_is_the_courses_own():
    found = taken(answer(SAMPLE, "return 'wrong'"), answer(KL, "return gaussian_sample(mean_q, std_q, mean_p)"), number="3.3")
    assert "from dreamer_core.latents import gaussian_sample" in found.source and "'wrong'" not in found.source, (
        f"a mistake in 3.2 is not to be counted in 3.3 as well:\n{found.source}"
    )


@pytest.mark.parametrize(
    "body, state",
    [
        ("...", "blank"),
        ("pass", "blank"),
        ("raise NotImplementedError()", "blank"),
        ("x = mean\n...", "begun"),
        ("return mean[..., 0]", "answer"),
    ],
)
def test_what_is_blank(body, state):
    assert taken(answer(SAMPLE, body)).state == state, f"{body!r} should be {state}"


def test_of_several_cells_the_last_that_is_not_blank_counts():
    cells = [answer(SAMPLE, "return 1"), answer(SAMPLE, "return 2"), answer(SAMPLE, "...")]
    assert run(taken(*cells))(0, 0, 0) == 2


def test_a_deleted_decorator_is_told():
    found = taken(answer(SAMPLE.split("\n", 1)[1], "return mean"))
    assert found.state == "missing" and 'The line `@exercise("3.2")` is gone' in found.sentence, found


def test_an_exercise_without_any_function_is_missing():
    assert taken().sentence == 'There is no function below a line `@exercise("3.2")`.'


def test_a_cell_that_is_not_python_is_told_with_its_line():
    found = taken(answer(SAMPLE, "return mean +* std"))
    assert found.state == "unreadable" and "`return mean +* std`" in found.sentence, found


def test_magics_and_shell_lines_are_no_python_and_count_for_nothing():
    cell = "%matplotlib inline\n!ls\nimport math\n" + answer(SAMPLE, "return math.exp(mean)")
    assert run(taken("%%bash\nrm -rf /", cell))(0.0, 0, 0) == 1.0


@pytest.mark.parametrize(
    "cells",
    [
        [answer(SAMPLE, "from dreamer_core.classroom.lesson import EXERCISES\nreturn EXERCISES['3.2'].reference(mean, std, noise)")],
        ["import dreamer_core.classroom.lesson as l", answer(SAMPLE, "return l.EXERCISES['3.2'].reference(mean, std, noise)")],
        ["text = solution('3.2')", answer(SAMPLE, "exec(text)\nreturn mean")],
        ["from dreamer_core.classroom.right_answers.nb03 import RIGHT", answer(SAMPLE, "return RIGHT['3.2'][0](mean, std, noise)")],
    ],
)
def test_asking_the_course_for_the_answer_is_unfair(cells):
    found = taken(*cells)
    assert found.state == "unfair" and "asks the course for the answer" in found.sentence, found


@pytest.mark.parametrize(
    "cell, said",
    [
        ("import os\nos.environ['DREAMER_STRICT'] = '0'", "DREAMER_STRICT"),
        ("%env DREAMER_LEDGER=other.json", "DREAMER_LEDGER"),
        ("from dreamer_core.classroom import judge\njudge.judge = None", ""),
        ("import dreamer_core.classroom.judge as j\nj.judge = lambda e, f: j.Verdict(True)", "dreamer_core.classroom.judge"),
        ("def exercise(number):\n    return lambda f: f", "another meaning"),
        ('@exercise("3.99")\ndef f():\n    return 1', "no exercise 3.99"),
    ],
)
def test_what_would_cheat_a_check_in_the_notebook_is_told(cell, said):
    remarks = " ".join(book_of([OPEN, cell]).remarks)
    assert said in remarks and (said or not remarks), f"expected {said!r} in {remarks!r}"


@pytest.mark.parametrize(
    "text", [b"", b"no notebook", b'{"cells": 3}', b'{"cells": [{"cell_type": "code"}]}', b"[" * 100_000, b"\xff\xfe\x00", b"%PDF-1.7"]
)
def test_a_file_that_is_no_notebook_is_a_sentence(tmp_path, text):
    (tmp_path / "03.ipynb").write_bytes(text)
    with pytest.raises(NoNotebook, match="is not a notebook"):
        read(tmp_path / "03.ipynb")


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    write(tmp_path / "other" / "03_rssm.ipynb", answer(SAMPLE, "return mean"))
    (tmp_path / "anna.ipynb").symlink_to(tmp_path / "other" / "03_rssm.ipynb")
    with pytest.raises(NoNotebook, match="is a link"):
        read(tmp_path / "anna.ipynb")


@pytest.mark.parametrize("cells, name", [([OPEN], "x.ipynb"), (["1"], "anna_03_rssm.ipynb"), ([answer(KL, RIGHT_KL)], "x.ipynb")])
def test_the_notebooks_number_is_found(cells, name):
    assert book_of(cells, name).number == "03"


def test_students_are_found_in_files_and_in_folders(tmp_path):
    for path in (
        "anna.ipynb",
        "ben_03_rssm.ipynb",
        "Cara 77/submission/03_rssm.ipynb",
        "Cara 77/submission/.ipynb_checkpoints/03_rssm.ipynb",
    ):
        write(tmp_path / path)
    (tmp_path / "dan").mkdir()
    (tmp_path / "dan" / "photo.png").write_bytes(b"")
    (tmp_path / ".hidden").mkdir()
    found = {each.student: ([path.name for path in each.books], each.strange) for each in submissions(tmp_path)}
    assert found == {
        "anna": (["anna.ipynb"], []),
        "ben": (["ben_03_rssm.ipynb"], []),
        "Cara 77": (["03_rssm.ipynb"], []),
        "dan": ([], ["photo.png"]),
    }
    assert student_of(tmp_path / "03_rssm.ipynb") == "03_rssm", "a file with no name but the notebook's keeps that"
