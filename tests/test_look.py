"""The page of a run: what it holds, what it says of what it cannot show, and that it needs nothing else."""

import dataclasses
import io
import re
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image
from runs import tiny, train

from dreamer_core.config import Config, WrapperConfig
from dreamer_core.errors import CheckpointError
from dreamer_core.look import page as pages
from dreamer_core.look import tensorboard
from dreamer_core.look.__main__ import main
from dreamer_core.trainer import read_config
from dreamer_core.viz.dashboard import read_metrics
from dreamer_core.viz.show import describe

HEADINGS = ["Settings", "What it reached", "Every part", "A film of one episode", "Look around in it", "What the latent state knows",
            "What it thinks of each place", "Where its dreams hold, and whose fault it is"]  # fmt: skip


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Few and short dreams."""
    for name, value in {"FIT": 2, "TEST": 1, "STEPS": 6, "DREAMS": 2, "LATER": 1, "PLACES": 3, "FAR": 6}.items():
        monkeypatch.setattr(pages, name, value)


def run(folder, **changes):
    """A finished tiny run."""
    train(dataclasses.replace(tiny(), **changes), folder)
    return folder


def headings(text):
    return re.findall(r"<h2>(.*?)</h2>", text)


def under(text, heading):
    """What stands below a heading."""
    return text.split(f"<h2>{heading}</h2>")[1].split("<h2>")[0]


@pytest.fixture(scope="module")
def pendulum(tmp_path_factory):
    return run(tmp_path_factory.mktemp("runs") / "first", env="Pendulum-v1")


def test_a_page_holds_everything_and_asks_for_nothing_from_outside(pendulum):
    text = pages.page(pendulum)
    assert headings(text) == HEADINGS
    parts = {"A film of one episode": "<video", "Look around in it": "<script"}
    for heading, part in {heading: parts.get(heading, "<img") for heading in HEADINGS[1:]}.items():
        assert part in under(text, heading), f"{heading} shows nothing: {under(text, heading)[:300]}"
    assert 'class="missing"' not in text
    assert "model.deter" in under(text, "Settings").partition("<details>")[0], "a setting that was changed is told first"
    asked = re.findall(r"""(?:src|href)="(?!data:)[^"]*""", text)
    assert not asked, f"the page asks for {asked}"
    assert all("alt=" in image for image in re.findall(r"<img[^>]*>", text)), "a figure without words"


def test_the_same_run_gives_the_same_page(pendulum):
    assert pages.page(pendulum) == pages.page(pendulum)


def test_a_world_without_a_plane_and_a_hidden_velocity_are_told_in_sentences(tmp_path):
    text = pages.page(run(tmp_path / "run"))
    assert "There is no plane of Buoy-v0" in under(text, "What the latent state knows")
    assert "has no plane" in under(text, "What it thinks of each place")
    assert "has no plane, so there is no map of faults" in under(text, HEADINGS[-1])
    assert "<video" in text and headings(text) == HEADINGS


def test_an_agent_that_cannot_tell_its_place_has_no_map_of_faults(tmp_path):
    """A hidden velocity: the simulator could be put anywhere, but nobody knows where the agent has been."""
    text = pages.page(run(tmp_path / "run", env="Pendulum-v1", wrappers=WrapperConfig(hide=(2,))))
    assert "does not tell where on the plane it has been" in under(text, HEADINGS[-1])


def test_the_map_of_faults_has_all_that_the_agent_has_seen(pendulum, monkeypatch):
    """Rows of the run's own replay buffer: as many at least as it took steps."""
    given = []
    monkeypatch.setattr(pages, "fault_figure", lambda found, visited: given.append((found, visited)) or describe(plt.figure(), "a", "b"))
    pages.page(pendulum)
    ((found, visited),) = given
    assert found.dream.shape == (3, 3) and found.steps == 6 and visited.shape[1] == 2
    assert len(visited) >= read_config(pendulum).env_steps, f"{len(visited)} rows were seen"


def test_sac_on_real_steps_has_no_dreams_and_the_page_says_so(tmp_path):
    text = pages.page(run(tmp_path / "run", agent="sac"))
    assert headings(text) == [*HEADINGS[:3], "Its dreams"]
    assert "trained with --agent sac" in under(text, "Its dreams")


def test_a_run_that_has_only_begun_has_a_page(pendulum, tmp_path):
    (tmp_path / "config.json").write_bytes((pendulum / "config.json").read_bytes())
    (tmp_path / "metrics.jsonl").touch()
    text = pages.page(tmp_path)
    assert "has not been evaluated yet: look again after its first evaluation" in under(text, "What it reached")
    assert "Nothing is dreamt here" in under(text, "Its dreams")


def test_only_what_differs_from_the_defaults_stands_in_the_table():
    assert "All as by default." in pages.settings(Config())
    told = pages.settings(dataclasses.replace(Config(), seed=7))
    assert "<tr><td><code>seed</code></td><td>7</td></tr>" in told and told.count("<tr>") == 1


def test_the_command_writes_the_page_into_the_runs_folder(pendulum, tmp_path, capsys):
    main([str(pendulum)])
    assert (pendulum / pages.PAGE).read_text(encoding="utf-8").startswith("<!doctype html>")
    main([str(pendulum), "--out", str(tmp_path / "other.html")])
    assert (tmp_path / "other.html").read_text(encoding="utf-8") == (pendulum / pages.PAGE).read_text(encoding="utf-8")


@pytest.mark.parametrize("what", ["no run", "nowhere to write"])
def test_the_command_says_in_one_line_what_is_wrong(pendulum, tmp_path, capsys, what):
    words, sentence = {
        "no run": ([str(tmp_path)], "there is no run in"),
        "nowhere to write": ([str(pendulum), "--out", str(tmp_path / "no" / "page.html")], "choose another place"),
    }[what]
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2 and sentence in capsys.readouterr().err
    with pytest.raises(CheckpointError):
        pages.page(tmp_path)


# --- TensorBoard -------------------------------------------------------------------------------


def test_tensorboard_reads_the_film_at_the_step_of_the_agent(pendulum, tmp_path):
    name = "tensorboard.backend.event_processing.event_accumulator"
    loader = pytest.importorskip(name, reason="the extra tensorboard is not installed")
    main([str(pendulum), "--tensorboard", str(tmp_path)])
    events = loader.EventAccumulator(str(tmp_path), size_guidance={"images": 0})
    events.Reload()
    (film,) = events.Images(tensorboard.TAG)
    assert Image.open(io.BytesIO(film.encoded_image_string)).n_frames > 5
    assert film.step == read_metrics(pendulum)[-1]["env_steps"]


def test_without_dreams_there_is_no_film_and_tensorboards_files_stay_as_they_were(tmp_path, capsys):
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    with pytest.raises(SystemExit):
        main([str(run(tmp_path / "run", agent="sac")), "--tensorboard", str(tmp_path / "events")])
    assert "trained with --agent sac" in capsys.readouterr().err and not (tmp_path / "events").exists()


def test_without_tensorboard_the_command_says_what_to_install(pendulum, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto.summary_pb2", None)
    with pytest.raises(SystemExit) as ended:
        main([str(pendulum), "--tensorboard", str(tmp_path / "events")])
    assert ended.value.code == 2 and "pip install -e '.[tensorboard]'" in capsys.readouterr().err


def test_a_film_for_tensorboard_keeps_its_pictures_in_order():
    pictures = [np.full((4, 6, 3), shade, np.uint8) for shade in (0, 100, 200)]
    made = Image.open(io.BytesIO(tensorboard.film(pictures)))
    shades = []
    for number in range(made.n_frames):
        made.seek(number)
        shades.append(int(np.array(made.convert("L"))[0, 0]))
    assert shades == [0, 100, 200] and made.size == (6, 4)
