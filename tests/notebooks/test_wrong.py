"""A learner who gets everything wrong: each notebook with the first named mistake of each exercise, every one by itself."""

import pytest

from dreamer_core.classroom.lesson import EXERCISES
from notebooks.books import PATHS, STUB, read, run, text


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_attempting_everything_wrongly_still_reaches_the_end(path, tmp_path):
    """The first named mistake of each exercise, and the notebook goes on to its last cell."""
    notebook = read(path)
    expected = []
    for cell in notebook.cells:
        if cell.cell_type == "code" and (found := STUB.findall(cell.source)):
            ((number, name),) = found
            cell.source = (
                f"from dreamer_core.classroom.lesson import EXERCISES as _all\n"
                f'{name} = exercise("{number}")(_all["{number}"].mistakes[0].wrong)'
            )
            expected.append(EXERCISES[number].mistakes[0].message)
    printed = "".join(map(text, run(notebook, tmp_path / "answers.json")))
    missing = [message for message in expected if message not in printed]
    assert not missing, f"these mistakes were made, and their messages not shown: {missing}"
