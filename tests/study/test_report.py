"""The report, over studies whose returns were written by hand."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_studies import BUOY, SETTINGS, small

from dreamer_core.look import page as look_page
from dreamer_core.study import conduct, figures, job, report
from dreamer_core.study.plan import MOST, from_dict
from dreamer_core.study.results import Pair, Results
from dreamer_core.study.results import doubts as doubts_of
from dreamer_core.study.statistics import Estimate

WORLDS = [BUOY | {"random": -100.0, "best": 0.0, "solved": -30.0}, BUOY | {"name": "sea", "random": 0.0, "best": 10.0}]


def write(out, returns, **changes):
    """A study whose runs were not made: (world, arm, seed) -> the returns of its evaluations, one every 20 steps."""
    plan = from_dict(small(worlds=WORLDS, **changes))
    with conduct.held(plan, out):
        for one in job.jobs(plan, out):
            if (key := (one.world, one.arm, one.seed)) in returns:
                folder = out / "runs" / one.world / one.arm / str(one.seed)
                (folder / "checkpoint").mkdir(parents=True)
                lines = [
                    {"env_steps": 20 * (number + 1), "eval_return_mean": value, "wall_s": 1.5 * (number + 1) + one.seed}
                    for number, value in enumerate(returns[key])
                ]
                (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
                if len(lines) * 20 >= one.env_steps:
                    (folder / f"checkpoint/{one.env_steps:08d}.json").touch()
    return Results(plan, out)


RETURNS = {
    ("buoy", "cut", 3): [-100, -90, -20, -40], ("buoy", "cut", 4): [-100, -90, -80, -60],
    ("buoy", "uncut", 3): [-100, -20, -10, -10], ("buoy", "uncut", 4): [-100, -50, -30, -30],
    ("sea", "cut", 3): [0, 1, 2, 4], ("sea", "cut", 4): [0, 1, 6, 6],
    ("sea", "uncut", 3): [0, 1, 8, 8], ("sea", "uncut", 4): [0, 2, 4, 8],
}  # fmt: skip


@pytest.fixture
def results(tmp_path):
    return write(tmp_path, RETURNS)


def test_a_runs_result_is_the_mean_of_its_last_evaluations_and_its_score_lies_between_random_and_best(results):
    cut = results.cells["buoy", "cut"]
    assert cut.returns.tolist() == [-30, -70] and cut.scores == pytest.approx([0.7, 0.3])
    assert results.cells["sea", "uncut"].scores == pytest.approx([0.8, 0.6])


def test_steps_and_seconds_to_solve_count_to_the_first_evaluation_at_the_mark(results):
    """Seed 3 has its n-th evaluation after 1.5 n + 3 seconds of training, seed 4 after 1.5 n + 4."""
    cut, uncut = results.cells["buoy", "cut"], results.cells["buoy", "uncut"]
    assert cut.solved.tolist() == [60, np.inf] and cut.seconds.tolist() == [7.5, np.inf]
    assert uncut.solved.tolist() == [40, 60] and uncut.seconds.tolist() == [6.0, 8.5]
    assert report.solving(cut.solved, cut.seconds) == ("1 of 2", "never (60 to never)", "never")
    assert report.solving(uncut.solved, uncut.seconds) == ("2 of 2", "50 (40 to 60)", "7")
    assert report.solving(np.array([]), np.array([])) == ("no mark", "", "")


def test_arms_are_held_against_the_first_seed_by_seed(results):
    found = {(pair.world, pair.label): pair for pair in results.pairs()}
    assert found.keys() == {("buoy", "uncut"), ("sea", "uncut"), ("", "uncut")}
    assert found["buoy", "uncut"].difference.value == pytest.approx((0.9 - 0.7 + 0.7 - 0.3) / 2)
    assert found["", "uncut"].difference.value == pytest.approx((0.2 + 0.4 + 0.5 + 0.0) / 4)
    assert (found["", "uncut"].better, found["", "uncut"].difference.runs) == (3, 4)
    assert found["", "uncut"].difference.low == pytest.approx(0.1, abs=0.06)  # 0.2 from the one, 0 from the other, 1 time in 16


def test_only_seeds_that_both_arms_have_are_paired(tmp_path):
    results = write(tmp_path, {key: value for key, value in RETURNS.items() if key != ("buoy", "cut", 4)})
    (pair,) = [pair for pair in results.pairs() if pair.world == "buoy"]
    assert pair.difference.runs == 1 and pair.difference.value == pytest.approx(0.2) and np.isnan(pair.difference.low)


@pytest.fixture
def unequal(tmp_path):
    """One arm with five seeds beside another with two of them, in both worlds."""
    shifts = {"all": {3: 0.1, 4: 0.2, 5: 0.3, 6: 0.4, 7: 0.5}, "few": {4: 0.5, 6: 0.9}}
    returns = {
        (world["name"], arm, seed): [world["random"] + score * (world["best"] - world["random"])] * 4
        for world in WORLDS
        for arm, scores in shifts.items()
        for seed, score in scores.items()
    }
    arms = {"all": SETTINGS, "few": SETTINGS | {"model.detach_z": False, "seeds": [4, 6]}}
    return write(tmp_path, returns, arms=arms, seeds=["3..7"])


def test_an_arm_with_fewer_seeds_is_whole_with_its_own_and_paired_at_those_that_both_have(unequal):
    assert len(unequal.runs) == 14 and not unequal.unfinished()
    found = {(pair.world, pair.label): pair for pair in unequal.pairs()}
    assert found["buoy", "few"].difference.runs == 2 and found["", "few"].difference.runs == 4
    assert found["buoy", "few"].difference.value == pytest.approx((0.5 - 0.2 + 0.9 - 0.4) / 2), "pairs are not of the same seeds"
    data = unequal.data()
    assert {(cell["label"], cell["planned"], len(cell["seeds"])) for cell in data["cells"]} == {("all", 5, 5), ("few", 2, 2)}
    assert [arm["seeds"] for arm in data["arms"].values()] == [None, [4, 6]] and json.loads(report.as_json(data)) == data


def test_the_report_tells_the_number_of_seeds_of_each_arm(unequal):
    text = report.markdown(unequal)
    assert "14 runs, of which 14 are finished" in text
    rows = [line for line in text.split("## buoy")[1].split("## sea")[0].splitlines() if line.startswith("| ")]
    assert [row.rsplit("| ", 1)[1] for row in rows if row.startswith(("| all", "| few"))] == ["5 of 5 |", "2 of 2 |"]
    assert "few:\n  seeds: [4, 6]" in text, "the arm's seeds are not among its settings"
    assert "* Seeds of sea: 3, 4, 5, 6, 7; of few only 4, 6.\n" in text
    assert "Fewer than 5 seeds in a world: do not trust" in text and "* With fewer than 5 seeds in a world" in text
    assert "The arms have unequal numbers of seeds" in text and "The worlds have unequal" not in text


def test_where_all_have_the_same_seeds_nothing_is_said_of_unequal_numbers(results):
    text = report.markdown(results)
    assert "unequal" not in text and "* Seeds of sea: 3, 4.\n" in text


def test_the_figures_tell_the_number_of_seeds_of_each_arm(unequal, results):
    assert [axis.get_title() for axis in figures.curves(unequal).axes] == ["buoy\n5 seeds each, few 2", "sea\n5 seeds each, few 2"]
    assert figures.curves(results).axes[0].get_title() == "buoy\n2 seeds each"
    assert [text.get_text() for text in figures.scores(unequal).axes[2].texts] == ["n = 10", "n = 4"]


def test_a_run_that_is_missing_or_failed_is_named_and_left_out(tmp_path):
    broken = RETURNS | {("buoy", "uncut", 4): [-100, -50]}
    results = write(tmp_path, {key: value for key, value in broken.items() if key != ("sea", "cut", 3)})
    job.fail(next(run.job for run in results.runs if run.job.name == "uncut in buoy, seed 4"), "the loss is nan", "Traceback")
    text = report.markdown(Results(results.plan, tmp_path))
    assert "8 runs, of which 6 are finished" in text
    assert "* uncut in buoy, seed 4: step 40 of 80, failed: the loss is nan" in text
    assert "* cut in sea, seed 3: step 0 of 80, not finished" in text
    (row,) = [line for line in text.split("## buoy")[1].split("## sea")[0].splitlines() if line.startswith("| uncut")]
    assert row.endswith("| 1 of 2 |") and "(no interval; 1)" in row


def test_no_number_stands_without_its_interval_and_its_number_of_runs(results):
    """Every score, median, return and difference: whatever has three digits after its point, but for the worst run, which is named."""
    cells = [cell.strip() for line in report.markdown(results).splitlines() if line.startswith("| ") for cell in line.split("|")[1:-1]]
    numbers = [cell for cell in cells if cell[:1] in "+-0123456789" and "." in cell]
    assert len(numbers) > 10
    for cell in numbers:
        assert "(" in cell and (cell.endswith("; 2)") or cell.endswith("; 4)") or "seed" in cell), f"{cell!r} stands alone"


@pytest.mark.parametrize(
    "shift, word",
    [
        (0.5, "**uncut** against **cut**: better. The difference of their scores is +0.500"),
        (-0.5, "worse. The"),
        (0.0, "not told apart. The"),
    ],
)
def test_one_honest_line(tmp_path, shift, word):
    noise = {3: 0.0, 4: 0.06, 5: -0.1, 6: 0.03, 7: 0.01}
    returns = {}
    for seed, extra in noise.items():
        for place in ("buoy", "sea"):
            random, best = (-100, 0) if place == "buoy" else (0, 10)
            returns[place, "cut", seed] = [random + (best - random) * 0.4] * 4
            returns[place, "uncut", seed] = [random + (best - random) * (0.4 + shift + extra)] * 4
    text = report.verdicts(write(tmp_path, returns, seeds=list(noise)))[0]
    assert word in text and "do not trust" not in text and text.count("\n") == 0


def test_a_difference_that_rounds_to_nothing_is_neither_better_nor_worse_and_has_no_sign(tmp_path):
    """Each of five pairs differs by a few ten-thousandths, always to the same side."""
    for number, (sign, name) in enumerate(((-1, "worse"), (1, "better"))):
        returns = {(world, "cut", seed): [5.0] * 4 for world in ("buoy", "sea") for seed in range(5)}
        returns |= {("sea", "uncut", seed): [5.0 + sign * (0.001 + seed / 2000)] * 4 for seed in range(5)}
        returns |= {("buoy", "uncut", seed): [5.0] * 4 for seed in range(5)}
        results = write(tmp_path / str(number), returns, seeds=list(range(5)))
        text = "\n".join(report.verdicts(results))
        assert "-0.000" not in text, f"nothing was given a sign: {text}"
        assert "uncut** against **cut**: not told apart. The difference of their scores is +0.000" in text, text
        assert all(pair.better == 0 for pair in results.pairs()), f"a pair that rounds to nothing counts as {name}"
        assert report.shown(results.pairs()[1].difference, sign=True) == "+0.000 (+0.000 to +0.000; 5)"


def test_few_seeds_are_said_to_be_few(tmp_path):
    """Three in each of two worlds are few, though they make six pairs."""
    returns = {
        (world, arm, seed): [place["random"] + shift] * 4
        for world, place in (("buoy", WORLDS[0]), ("sea", WORLDS[1]))
        for arm, shift in (("cut", 0.0), ("uncut", 1.0))
        for seed in (3, 4, 5)
    }
    text = report.verdicts(write(tmp_path, returns, seeds=[3, 4, 5]))[0]
    assert "6 pairs" in text and text.endswith("Fewer than 5 seeds in a world: do not trust this interval.")


def test_one_arm_or_one_seed_proves_nothing_and_the_report_says_so(tmp_path):
    alone = write(tmp_path / "a", RETURNS, arms={"cut": SETTINGS})
    assert report.verdicts(alone) == ["There is one arm, and nothing to hold it against."]
    once = write(tmp_path / "b", RETURNS, seeds=[3])
    assert "one run says nothing about how runs differ; run more seeds" in report.verdicts(once)[0]


def test_an_arm_that_runs_longer_is_read_off_at_both_lengths(tmp_path):
    arms = {"cut": SETTINGS, "long": SETTINGS | {"times": 2}}
    returns = {("buoy", "cut", 3): [-100, -90, -40, -40], ("buoy", "long", 3): [-100, -90, -60, -60, -50, -40, -10, 0]}
    results = write(tmp_path, returns, arms=arms, seeds=[3])
    assert results.cells["buoy", "long"].returns.tolist() == [-60] and results.cells["buoy", "long, 2 x the steps"].returns.tolist() == [-5]


def test_a_long_arm_that_has_passed_the_worlds_steps_counts_there_though_it_is_not_finished(tmp_path):
    arms = {"cut": SETTINGS, "long": SETTINGS | {"times": 2}}
    results = write(tmp_path, {("buoy", "long", 3): [-100, -90, -60, -60, -50]}, arms=arms, seeds=[3])
    assert results.cells["buoy", "long"].seeds == [3] and results.cells["buoy", "long, 2 x the steps"].seeds == []
    report.write(results)


def test_everything_is_written_and_json_holds_what_the_tables_show(results):
    report.write(results)
    assert {path.name for path in results.out.iterdir()} >= {"report.md", "report.json", "scores.png", "curves.png", "profiles.png"}
    for name in report.FIGURES:
        assert f"({name}.png)" in (results.out / "report.md").read_text(encoding="utf-8")
        assert Image.open(results.out / f"{name}.png").width > 500
    data = json.loads((results.out / "report.json").read_text(encoding="utf-8"))
    (cell,) = [cell for cell in data["cells"] if (cell["world"], cell["label"]) == ("buoy", "cut")]
    assert cell["scores"] == [0.7, 0.3] and cell["score"]["value"] == 0.5 and cell["score"]["runs"] == 2
    assert cell["steps_to_solve"] == [60, None] and cell["curves"][0][2] == [60, -20, 7.5]
    assert cell["seconds_to_solve"] == [7.5, None] and data["workers"] == []
    assert data["arms"]["uncut"]["settings"]["model"]["detach_z"] is False and data["arms"]["uncut"]["times"] == 1
    assert [row["world"] for row in data["against_the_first"]] == ["buoy", "sea", None]


def test_json_is_small_and_has_a_line_for_each_world_and_arm(results):
    data = results.data()
    assert all("doubts" in world for world in data["worlds"].values()), "what makes a scale only nearly the world's own"
    text = report.as_json(data)
    assert json.loads(text) == data
    cells = [line for line in text.splitlines() if line.startswith(' {"world":') and '"curves"' in line]
    assert len(cells) == len(data["cells"]) == 4, "a cell does not stand on a line of its own"
    assert text.count(" ") < len(text) / 20, "the file is full of blanks"


@pytest.mark.parametrize(
    "workers, words", [([2], "; 2 runs at a time"), ([1], "; 1 run at a time"), ([1, 4], "; 1 or 4 runs at a time"), ([], "")]
)
def test_with_how_many_workers_a_study_was_made_is_said_if_it_is_known(results, workers, words):
    for number in workers:
        job.remember(Path(results.runs[0].job.path), job.started(0, number))
    again = Results(results.plan, results.out)
    assert again.workers() == workers and again.data()["workers"] == workers
    assert f"* Seconds: training time alone, evaluations not counted{words}.\n" in report.markdown(again)


def test_a_study_without_a_finished_run_has_a_report_too(tmp_path):
    text = report.write(write(tmp_path, {}))
    assert "of which 0 are finished" in text and "## Which is better?" not in text and not (tmp_path / "scores.png").exists()


def test_warnings_and_mixed_code_are_told(results):
    for number, run in enumerate(results.runs[:2]):
        line = {"from_step": 0, "code": f"code{number}", "torch": "2"}
        (results.out / "runs" / run.job.world / run.job.arm / str(run.job.seed) / "history.jsonl").write_text(
            json.dumps(line) + "\n" + json.dumps({"warned": "it is late"}) + "\n", encoding="utf-8"
        )
    text = report.markdown(Results(results.plan, results.out))
    assert "more than one version of the agent's code" in text
    assert "* cut in buoy, seed 3, uncut in buoy, seed 3: it is late." in text


def test_the_figures_tell_what_they_show_and_hold_every_seed(results):
    drawn = figures.curves(results)
    assert len([line for line in drawn.axes[0].lines if line.get_linewidth() == 0.7]) == 4, "a thin line for each seed of each arm"
    panel = figures.scores(results).axes
    assert [axis.get_title() for axis in panel if axis.get_visible()] == ["buoy", "sea", "all worlds"]
    assert {text.get_text() for text in panel[2].texts} == {"n = 4"}, "a score stands without its number of runs"
    shares = figures.profiles(results).axes[0].lines[0].get_ydata()
    assert shares[0] == 1 and shares[-1] == 0 and (np.diff(shares) <= 0).all()


def drawn(axis):
    """The numbers, and the colours of dots, in a panel of differences."""
    dots = [line for line in axis.lines if line.get_marker() == "o"]
    return [text.get_text() for text in axis.texts], [(line.get_color(), line.get_markerfacecolor()) for line in dots]


def test_the_differences_stand_arm_by_arm_and_world_by_world(tmp_path):
    """By hand, from the last two evaluations: buoy 0.9 - 0.7 and 0.7 - 0.3, sea 0.8 - 0.3 and 0.6 - 0.6."""
    results = write(tmp_path, RETURNS)
    figure = figures.differences(results.pairs(), "cut")
    assert [axis.get_title() for axis in figure.axes] == ["buoy", "sea", "all worlds"]
    assert [drawn(axis)[0] for axis in figure.axes] == [["+0.30"], ["+0.25"], ["+0.28"]]
    words = [figures.verdict(pair.difference) for pair in results.pairs()]
    colours = [drawn(axis)[1][0][0] for axis in figure.axes]
    assert colours == [figures.VERDICTS[word] for word in words]
    assert all(f"in {name}: {number}, {word}" in figure.alt
               for name, number, word in zip(("buoy", "sea", "all worlds"), ("+0.30", "+0.25", "+0.28"), words))  # fmt: skip
    assert "fewer than five seeds" in figure.caption


def test_a_difference_is_called_by_what_its_interval_shows():
    told = {
        "better": (0.2, 0.1, 0.3),
        "worse": (-0.2, -0.3, -0.1),
        "no difference shown": (0.2, -0.1, 0.5),
        "one pair, which shows nothing": (0.9, float("nan"), float("nan")),
    }
    for word, numbers in told.items():
        assert figures.verdict(Estimate(*numbers, 5)) == word
    assert figures.verdict(Estimate(0.0003, 0.0001, 0.0004, 5)) == "no difference shown", "an interval that rounds to nothing shows nothing"


def test_differences_beyond_the_edge_and_missing_ones_are_drawn_as_such():
    pairs = [
        Pair("sea", "one", Estimate(-0.9, -1.6, -0.2, 6), 0, 6),
        Pair("sea", "two", Estimate(0.4, float("nan"), float("nan"), 1), 1, 1),
        Pair("buoy", "one", Estimate(0.0, -0.1, 0.1, 6), 3, 6),
    ]
    sea, buoy = figures.differences(pairs, "cut").axes
    assert [line.get_marker() for line in sea.lines].count("<") == 1, "an interval that leaves the panel needs an arrow"
    assert drawn(sea)[1][1][1] == "white", "a single pair must not look like a result"
    assert drawn(buoy)[0] == ["+0.00", "no pair"]


def test_one_arm_has_no_figure_of_differences(tmp_path):
    text = report.write(write(tmp_path, RETURNS, arms={"cut": SETTINGS}))
    assert "differences.png" not in text and not (tmp_path / "differences.png").exists()


def test_the_report_links_to_the_pages_of_runs_that_have_one(results):
    assert report.PAGE == look_page.PAGE and "Pages of runs" not in report.markdown(results)
    folder = results.out / "runs/sea/uncut/4"
    (folder / report.PAGE).touch()
    (link,) = re.findall(r"^\* \[uncut in sea, seed 4\]\((.+)\)$", report.markdown(results), re.MULTILINE)
    assert (results.out / link) == folder / report.PAGE, "the link does not lead to the page"


def test_as_many_arms_as_a_study_may_have_look_different():
    assert len(set(figures.LOOKS)) == MOST


def test_a_world_in_which_no_seed_is_finished_in_both_is_named(tmp_path):
    """Seed 3 of one arm and seed 4 of the other make no pair."""
    results = write(tmp_path, {key: value for key, value in RETURNS.items() if key not in (("sea", "cut", 3), ("sea", "uncut", 4))})
    verdict = report.verdicts(results)[0]
    assert "2 pairs" in verdict and verdict.endswith(" Left out: sea, where no seed is finished in both."), (
        f"sea is left out silently: {verdict}"
    )
    assert "Left out" not in report.verdicts(write(tmp_path / "whole", RETURNS))[0]


def test_an_arm_that_shares_no_finished_seed_with_the_first_has_a_line_too(tmp_path):
    arms = {"cut": SETTINGS, "uncut": SETTINGS | {"model.detach_z": False}, "few": SETTINGS | {"sac.gamma": 0.5}}
    verdict = report.verdicts(write(tmp_path / "a", RETURNS, arms=arms))[0]
    assert verdict.splitlines()[1:] == ["* **few** against **cut**: no seed is finished in both, so that they cannot be compared."]
    nothing = write(tmp_path / "b", {key: value for key, value in RETURNS.items() if key[1] != "cut"}, arms=arms)
    assert report.verdicts(nothing) == ["No arm has a finished seed in common with cut, so that nothing can be compared yet."]


def test_a_score_over_all_worlds_names_those_without_a_run(tmp_path):
    results = write(tmp_path, {key: value for key, value in RETURNS.items() if key[:2] != ("sea", "uncut")})
    rows = report.together(results).splitlines()[2:]
    assert rows[0].startswith("| cut | ") and rows[1].startswith("| uncut (without sea) | "), f"sea is left out silently: {rows[1]}"


# --- scales ------------------------------------------------------------------------------------


def doubts(**changes):
    """What the report says of the scale of one world, with five evaluations that count, one every 200 steps."""
    place = dict(env="Pendulum-v1", name="w", env_steps=3000) | changes
    return doubts_of(from_dict(small(worlds=[place], evaluation={})), "w")


def test_a_hidden_world_on_the_plain_worlds_scale_is_said_in_the_report(tmp_path):
    plan = from_dict(small(worlds=[dict(env="Pendulum-v1", name="w", env_steps=80, wrappers={"hide": [2]})]))
    line = "* w: its best return is that of Pendulum-v1 with nothing hidden: an upper bound, so that 1 may be out of reach."
    text = report.known(Results(plan, tmp_path))[0]
    assert line in text.splitlines(), f"the report says nothing of the plain world's scale: {text}"


def test_a_plain_world_and_one_with_a_scale_of_its_own_raise_no_doubt():
    assert doubts() == []
    assert doubts(wrappers={"hide": [2], "action_repeat": 2}, random=-1200, best=-200, evaluation={"episodes": 3}) == []
    assert doubts(wrappers={"observation_scale": 3.0, "reward_scale": 0.1, "reward_offset": 1.0}) == []


@pytest.mark.parametrize("steps, last, repeat, young", [(4000, 5, 1, False), (1900, 5, 1, False), (1800, 5, 1, True), (1400, 1, 1, True),
                                                        (1500, 1, 1, False), (1600, 5, 2, False), (1100, 5, 2, True)])  # fmt: skip
def test_a_run_that_is_judged_before_the_change_is_said_to_be(steps, last, repeat, young):
    """The pendulum changes after 1,500 steps: the first evaluation that counts is at steps - (last - 1) 100, in repeated actions."""
    wrappers, measure = {"action_repeat": repeat}, {"last": last, "every": 100}
    found = doubts(env="dreamer/ChangingPendulum-v0", env_steps=steps, evaluation=measure, wrappers=wrappers)
    said = "its random and best returns are those after the change at step 1500, and evaluations before it count too: scores may lie"
    assert any(one.startswith(said) for one in found) is young, f"{steps} steps, the last {last} evaluations: {found}"
    assert not any("upper bound" in one for one in found) or not young, f"the changed pendulum's best bounds nothing before: {found}"


def test_other_starts_are_said_to_be_others():
    said = "its best return is the mean over the reset seeds 20000 to 20049; over those of this study, 20000 to 20009, it may be another"
    assert doubts(evaluation={"episodes": 10}) == [said]
    assert doubts(env="dreamer/Recall-v0", evaluation={"seed": 7}) == [], "what is paid at most is the same from every start"
