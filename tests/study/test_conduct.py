"""Making what is missing: in one process, on processes that die, and on a cluster that was there before."""

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import small_studies
from runs import assert_same_run, die_at_write, train
from small_studies import BUOY, MARK, SETTINGS, make, small

from dreamer_core.checkpoint import lock
from dreamer_core.errors import CheckpointError, ConfigError, DreamerError, InUse
from dreamer_core.study import conduct, job, report
from dreamer_core.study.__main__ import main
from dreamer_core.study.plan import from_dict
from dreamer_core.study.results import Results

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a study that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole")
    make(small(), out)
    return out


@pytest.fixture
def mark(tmp_path, monkeypatch):
    """The file that keeps small_studies' worlds from ending or breaking; not there at first."""
    monkeypatch.setenv(MARK, str(tmp_path / "mark"))
    monkeypatch.setattr(small_studies.Broken, "steps", 0)
    return tmp_path / "mark"


def folders(out):
    """The run folders below a study, by their place in it."""
    return {str(path.parent.relative_to(out)): path.parent for path in sorted(out.glob("runs/*/*/*/config.json"))}


def assert_same_study(a, b):
    assert folders(a).keys() == folders(b).keys()
    for name in folders(a):
        assert_same_run(folders(a)[name], folders(b)[name])


def lives(folder):
    """The steps at which a run was begun or continued, and in which process."""
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    return [(line["from_step"], line["pid"]) for line in lines if "from_step" in line]


# --- in this process ---------------------------------------------------------------------------


def test_every_run_is_an_ordinary_run_folder(whole, tmp_path):
    assert list(folders(whole)) == [f"runs/buoy/{arm}/{seed}" for arm in ("cut", "uncut") for seed in (3, 4)]
    train(from_dict(small()).config("buoy", "uncut", 4), tmp_path / "run")
    assert_same_run(tmp_path / "run", whole / "runs/buoy/uncut/4")


def test_a_second_start_makes_nothing_again(whole):
    before = {path: path.stat().st_mtime_ns for path in whole.glob("runs/**/*") if path.is_file()}
    make(small(), whole)
    assert {path: path.stat().st_mtime_ns for path in whole.glob("runs/**/*") if path.is_file()} == before


def test_runs_are_made_seed_by_seed(tmp_path):
    asked = [(one.seed, one.world, one.arm) for one in job.jobs(from_dict(small(worlds=[BUOY, BUOY | {"name": "b"}])), tmp_path)]
    assert asked == [(seed, world, arm) for seed in (3, 4) for world in ("buoy", "b") for arm in ("cut", "uncut")]


def start_over(out, write):
    """A life of a study that ends at a write to the disk."""
    if write:
        die_at_write(write)
    make(small(), out)


@pytest.mark.parametrize("writes", [[1], [6], [17, 23], [40]])
def test_a_study_killed_at_any_moment_goes_on_where_it_was(whole, tmp_path, writes):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["dreamer_core.trainer", "torch._dynamo"])
    for write in [*writes, None]:
        life = context.Process(target=start_over, args=(tmp_path, write))
        life.start()
        life.join(600)
        assert life.exitcode == (-signal.SIGKILL if write else 0), "the study was to be killed, and the last time to end"
    assert_same_study(whole, tmp_path)


def test_arms_worlds_seeds_and_steps_may_be_added(whole, tmp_path):
    make(small(arms={"cut": SETTINGS}, seeds=[4], worlds=[BUOY | {"env_steps": 40}]), tmp_path)
    assert list(folders(tmp_path)) == ["runs/buoy/cut/4"]
    make(small(), tmp_path)
    assert [step for step, _ in lives(tmp_path / "runs/buoy/cut/4")] == [0, 40], "the run was not continued from its end"
    assert_same_study(whole, tmp_path)
    make(small(worlds=[BUOY | {"best": 1.0, "solved": -1}], name="other"), tmp_path)  # what only the report reads may change


def test_an_arm_with_seeds_of_its_own_is_run_with_these_and_may_get_more(whole, tmp_path):
    made = small(arms={"cut": SETTINGS, "uncut": SETTINGS | {"model.detach_z": False, "seeds": [4]}})
    assert [one.name for one in job.jobs(from_dict(made), tmp_path)] == [
        "cut in buoy, seed 3",
        "cut in buoy, seed 4",
        "uncut in buoy, seed 4",
    ]
    make(made, tmp_path)
    assert list(folders(tmp_path)) == ["runs/buoy/cut/3", "runs/buoy/cut/4", "runs/buoy/uncut/4"]
    assert not Results(from_dict(made), tmp_path).unfinished(), "a run that was not planned is missed"
    make(small(), tmp_path)
    assert_same_study(whole, tmp_path)


@pytest.mark.parametrize(
    "changes, sentence",
    [
        (dict(arms={"cut": SETTINGS}), "has the arm uncut, which the plan has no more"),
        (dict(worlds=[BUOY | {"name": "sea"}]), "has the world buoy, which the plan has no more"),
        (dict(seeds=[4, 5]), "has the seed 3 of cut in buoy, which the plan has no more"),
        (
            dict(arms={"cut": SETTINGS, "uncut": SETTINGS | {"model.detach_z": False, "seeds": [4]}}),
            "has the seed 3 of uncut in buoy, which the plan has no more",
        ),
        (dict(worlds=[BUOY | {"env_steps": 60}]), "has cut in buoy with env_steps 80, the plan now 60"),
        (dict(arms={"cut": SETTINGS | {"sac.gamma": 0.5}, "uncut": {}}), "has cut in buoy with sac.gamma 0.9, the plan now 0.5"),
        (dict(evaluation=dict(every=40, episodes=2, seed=7, last=2)), "has cut in buoy with evaluation.every 20, the plan now 40"),
    ],
)
def test_a_changed_study_in_the_same_folder_is_refused(whole, changes, sentence):
    kept = (whole / "study.json").read_bytes()
    with pytest.raises(ConfigError) as error:
        make(small(**changes), whole)
    assert str(error.value) == f"the study in {whole} {sentence}: choose another folder (out), or put it back"
    assert (whole / "study.json").read_bytes() == kept


def test_a_run_that_was_begun_with_other_settings_fails_by_name(tmp_path):
    train(from_dict(small()).config("buoy", "uncut", 3), tmp_path / "runs/buoy/cut/3")
    (tmp_path / "runs/buoy/cut/3/checkpoint/00000080.json").unlink()
    results = make(small(), tmp_path)
    assert [(run.job.name, run.state) for run in results.unfinished()] == [
        ("cut in buoy, seed 3", "the run was begun with another model.detach_z than the study has now: choose another folder (out)")
    ]


def test_what_a_run_chose_for_auto_fits_and_where_it_ran_says_nothing():
    """A run writes down what "auto" was; its device decides where, not what."""
    begun = {"env": "a", "env_steps": 5, "device": "cpu", "dreamerv3": {"actor": "categorical", "lam": 0.9}}
    same = {"env": "a", "env_steps": 9, "device": "auto", "dreamerv3": {"actor": "auto", "lam": 0.9}, "new": 1}
    assert job.changed(begun, same) == [], "a run that may go on is refused"
    assert job.changed(same, begun | {"device": "cuda", "new": 1}) == ["dreamerv3.actor"], "auto then and something now"
    assert job.changed(begun, same | {"dreamerv3": {"actor": "normal", "lam": 0.8}}) == ["dreamerv3.actor", "dreamerv3.lam"]


def test_what_no_run_was_begun_with_may_be_corrected(tmp_path):
    wrong = BUOY | {"env": "runs:Boy-v0", "name": "boy"}
    assert len(make(small(worlds=[wrong], arms={"cut": SETTINGS}), tmp_path).unfinished()) == 2
    results = make(small(arms={"kut": SETTINGS}, seeds=[5]), tmp_path)
    assert [run.job.name for run in results.runs] == ["kut in buoy, seed 5"] and not results.unfinished()
    with pytest.raises(ConfigError, match="has the world buoy, which the plan has no more"):
        make(small(worlds=[wrong]), tmp_path)


def test_what_a_full_disk_left_in_a_folder_is_read_as_far_as_it_goes(tmp_path):
    """An empty failed.txt, and a line of history that was broken off."""
    one = job.jobs(from_dict(small(seeds=[3])), tmp_path)[0]
    Path(one.path).mkdir(parents=True)
    (Path(one.path) / "failed.txt").touch()
    (Path(one.path) / "history.jsonl").write_text('{"warned": "x"}\n' + "[" * 10**5 + '\n{"from_step": 0, "co', encoding="utf-8")
    run = Results(from_dict(small(seeds=[3])), tmp_path).runs[0]
    assert run.state == "what went wrong could not be written down, as on a full disk" and run.history == [{"warned": "x"}]


@pytest.mark.parametrize("line", ["{", "[1]", '{"env_steps": 40}', '{"env_steps": "x", "eval_return_mean": 1, "wall_s": 1}', "[" * 10**5])
def test_a_damaged_line_of_metrics_is_told_in_a_sentence(tmp_path, line):
    one = job.jobs(from_dict(small(seeds=[3])), tmp_path)[0]
    Path(one.path).mkdir(parents=True)
    (Path(one.path) / "metrics.jsonl").write_text(line + "\n", encoding="utf-8")
    with pytest.raises(
        CheckpointError, match=r"^.*/cut/3/metrics.jsonl has a line that cannot be read \(.*\): restore it, or move the folder"
    ):
        Results(from_dict(small(seeds=[3])), tmp_path)
    if "40" not in line:
        with pytest.raises(CheckpointError, match="has a line that cannot be read"):
            job.steps_done(one)


def test_a_report_that_cannot_be_written_is_told_in_a_sentence(tmp_path):
    (tmp_path / "report.md").mkdir()
    with pytest.raises(DreamerError, match="^could not write the report to .*; the runs are kept: make room and start again$"):
        report.write(Results(from_dict(small()), tmp_path))


def test_two_commands_cannot_be_at_work_in_one_folder(tmp_path):
    with lock(tmp_path / "study.lock"), pytest.raises(InUse, match=f"^another study is at work in {tmp_path}: wait until it ends or stop"):
        make(small(), tmp_path)


def test_a_folder_that_cannot_be_used_is_refused_with_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DreamerError, match=rf"^could not write to {tmp_path / 'file'} .*: choose another folder \(out\)$"):
        make(small(), tmp_path / "file")
    for content in ("{", "[]", "{}", '{"seeds": 1, "settings": {}}', "[" * 10**5 + "]" * 10**5):
        (tmp_path / "study.json").write_text(content, encoding="utf-8")
        with pytest.raises(ConfigError, match=r"study.json cannot be read: restore it, or choose another folder \(out\)$"):
            make(small(), tmp_path)


def test_what_goes_wrong_while_a_folder_is_held_is_told_as_it_is(tmp_path):
    with pytest.raises(ConnectionError, match="^the network is gone$"), conduct.held(from_dict(small()), tmp_path):
        raise ConnectionError("the network is gone")


def test_a_job_waits_for_a_run_that_is_still_at_work_in_its_folder(tmp_path, monkeypatch):
    """As by a worker that was thought lost."""
    one = job.jobs(from_dict(small()), tmp_path)[0]
    Path(one.path).mkdir(parents=True)
    held = lock(Path(one.path) / "metrics.jsonl")
    monkeypatch.setattr(job.time, "sleep", lambda seconds: held.close())
    job.run(one, 1)
    assert job.finished(one) and not job.failure(one)


def test_a_run_that_raises_is_reported_and_stops_nothing(tmp_path, mark):
    data = small(worlds=[BUOY | {"env": "small_studies:Broken-v0", "name": "broken"}, BUOY], seeds=[3])
    results = make(data, tmp_path)
    broken = results.unfinished()
    assert [run.job.name for run in broken] == ["cut in broken, seed 3", "uncut in broken, seed 3"]
    assert all(run.state.startswith("small_studies:Broken-v0 raised OverflowError (the wave is too high) in its step") for run in broken)
    assert "Traceback (most recent call last)" in (Path(broken[0].job.path) / "failed.txt").read_text(encoding="utf-8")
    assert len([run for run in results.runs if run.state == "finished"]) == 2
    mark.touch()  # the world is mended: the same command makes what failed
    told_of = []
    with conduct.held(from_dict(data), tmp_path):
        conduct.make(from_dict(data), tmp_path, 0, None, lambda steps, note: told_of.append(note), print)
    assert told_of[-1] == "4 of 4 runs", "an earlier failure was counted though the run is finished now"
    assert Results(from_dict(data), tmp_path).unfinished() == []


# --- what cannot be made here ------------------------------------------------------------------


NO_WORLD = BUOY | {"env": "runs:Boy-v0", "name": "boy"}


def test_a_world_that_is_not_known_here_is_told_before_anything_starts(tmp_path, capsys):
    import yaml

    (tmp_path / "small.yaml").write_text(yaml.safe_dump(small(worlds=[BUOY, NO_WORLD])), encoding="utf-8")
    code, line = told([tmp_path / "small.yaml", "--out", tmp_path / "out", "--workers", 0], capsys)
    assert code == 2, "the study was begun though one of its worlds cannot be made"
    assert line.startswith("error: no run of the world boy can be made here, so none was begun: there is no environment 'runs:Boy-v0': ")
    assert line.endswith("; mend that, or take the world out of the study")
    assert not (tmp_path / "out").exists(), "a folder was begun for a study that cannot be"


@pytest.mark.parametrize(
    "changes, sentence",
    [
        (dict(env="small_studies:Lacking-v0"), "needs an optional package that is not installed: waves is not installed"),
        (dict(env="small_studies:Halting-v0"), "could not be made, it raised ValueError (no water): mend the environment"),
        (dict(env="CartPole-v1"), "CartPole-v1 has discrete actions"),
        (dict(wrappers={"hide": [2]}), "wrappers.hide names entry 2, but the observation has entries 0 to 1"),
    ],
)
def test_whatever_stands_in_the_way_of_a_world_is_told_with_its_name(tmp_path, changes, sentence):
    with pytest.raises(ConfigError) as error:
        conduct.check_here(from_dict(small(worlds=[BUOY | changes])), tmp_path, None)
    assert str(error.value).startswith("no run of the world buoy can be made here, so none was begun: ") and sentence in str(error.value)


def test_an_arm_that_lacks_something_here_is_told_before_anything_starts(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for arm, sentence in (
        ({"agent": "sb3_sac"}, "the agent sb3_sac is stable-baselines3's, which is not installed: pip install -e '.[bench]'"),
        (SETTINGS | {"device": "cuda"}, "the setting device is 'cuda', but torch finds no such device here: set device to cpu"),
    ):
        with pytest.raises(ConfigError) as error:
            conduct.check_here(from_dict(small(arms={"cut": SETTINGS, "odd": arm})), tmp_path, None)
        expected = f"no run of the arm odd can be made here, so none was begun: {sentence}; mend that, or take the arm out of the study"
        assert str(error.value) == expected


def test_the_machines_of_a_scheduler_may_know_more(tmp_path):
    conduct.check_here(from_dict(small(worlds=[NO_WORLD])), tmp_path, "tcp://127.0.0.1:1")


def test_what_can_be_made_passes_and_leaves_no_environment_open(tmp_path, monkeypatch):
    closed = []
    monkeypatch.setattr("runs.Buoy.close", lambda self: closed.append(self), raising=False)
    conduct.check_here(from_dict(small()), tmp_path, None)
    assert len(closed) == 1, "each world is to be made once, and closed"


def test_a_study_that_has_runs_of_a_world_writes_its_report_though_the_world_is_gone(tmp_path, monkeypatch, capsys):
    import gymnasium
    import yaml

    make(small(seeds=[3]), tmp_path / "out")
    monkeypatch.delitem(gymnasium.registry, "Buoy-v0")
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(small()), encoding="utf-8")
    code, line = told([tmp_path / "small.yaml", "--out", tmp_path / "out", "--workers", 0], capsys)
    assert code == 1 and line.startswith("uncut in buoy, seed 4 failed: there is no environment 'runs:Buoy-v0'"), line
    text = (tmp_path / "out/report.md").read_text(encoding="utf-8")
    assert "4 runs, of which 2 are finished" in text, "the finished runs are not in the report"


def test_a_folder_that_cannot_be_looked_into_is_left_to_whoever_takes_hold_of_it(tmp_path, monkeypatch):
    def forbidden(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(job, "begun", forbidden)
    conduct.check_here(from_dict(small()), tmp_path, None)


# --- processes ---------------------------------------------------------------------------------


def test_two_workers_give_the_same_numbers_as_this_process(whole, tmp_path):
    make(small(), tmp_path, 2)
    assert_same_study(whole, tmp_path)
    made = {pid for folder in folders(tmp_path).values() for _, pid in lives(folder)}
    assert len(made) == 2 and os.getpid() not in made, "two processes were to do the work"
    assert (Results(from_dict(small()), tmp_path).workers(), Results(from_dict(small()), whole).workers()) == ([2], [1])


def test_a_worker_killed_by_sigkill_costs_no_run(whole, tmp_path, mark):
    results = make(small(worlds=[BUOY | {"env": "small_studies:Deadly-v0"}], seeds=[3]), tmp_path, 1)
    assert mark.exists() and results.unfinished() == []
    (first, dead), (second, other) = lives(tmp_path / "runs/buoy/cut/3")
    assert (first, second) == (0, 30) and dead != other, "another process was to go on from the newest checkpoint"
    assert {pid for folder in folders(tmp_path).values() for _, pid in lives(folder)} == {dead, other}, "one worker was asked for"
    for name, folder in folders(tmp_path).items():
        returns = [[line["eval_return_mean"] for line in small_metrics(path)] for path in (folder, whole / name)]
        assert returns[0] == returns[1], f"{name} came out otherwise than undisturbed"


def small_metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


@contextlib.contextmanager
def dask(*words):
    """A process of Dask's own command."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen([sys.executable, "-m", "dask", *words], env=os.environ | {"PYTHONPATH": paths}, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def test_a_running_scheduler_with_two_workers_makes_the_study(whole, tmp_path, capsys):
    import yaml

    (tmp_path / "small.yaml").write_text(yaml.safe_dump(small()), encoding="utf-8")
    file = tmp_path / "scheduler.json"
    with dask("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file), "--no-dashboard"):
        while not file.exists() or not file.read_text(encoding="utf-8").endswith("}"):
            time.sleep(0.1)
        address = json.loads(file.read_text(encoding="utf-8"))["address"]
        worker = ["worker", address, "--host", "127.0.0.1", "--nthreads", "1", "--no-dashboard", "--local-directory", str(tmp_path)]
        with dask(*worker), dask(*worker), pytest.raises(SystemExit) as end:
            main([str(tmp_path / "small.yaml"), "--out", str(tmp_path / "out"), "--scheduler", address])
    assert end.value.code == 0, capsys.readouterr().err
    assert_same_study(whole, tmp_path / "out")
    assert os.getpid() not in {pid for folder in folders(tmp_path / "out").values() for _, pid in lives(folder)}


def test_workers_with_several_threads_are_refused():
    import distributed

    with distributed.LocalCluster(1, threads_per_worker=2, processes=False, dashboard_address=None) as local:
        with pytest.raises(ConfigError, match="has 2 threads, which would share one source of random numbers: start the workers with"):
            with conduct.cluster(1, local.scheduler_address, print):
                pass


def test_a_cluster_without_workers_is_told_of():
    import distributed

    said = []
    with distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=None) as empty:
        with conduct.cluster(1, empty.scheduler_address, said.append):
            pass
    assert f"the Dask cluster at {empty.scheduler_address} has no workers yet: the runs begin when the first one joins it" in said


def test_nothing_answers_at_the_schedulers_address():
    with pytest.raises(DreamerError, match="^no Dask scheduler answers at nonsense://x .*: check the address"):
        with conduct.cluster(1, "nonsense://x", print):
            pass


class Client:
    """A cluster whose workers die; each life of a job may come some steps further."""

    status = "running"

    def __init__(self, steps):
        self.steps = list(steps)

    def submit(self, function, one, workers, **_):
        import distributed

        step = self.steps.pop(0) if self.steps else None
        if step is None:
            job.run(one, workers)
        elif step:
            Path(one.path).mkdir(parents=True, exist_ok=True)
            (Path(one.path) / "metrics.jsonl").write_text(json.dumps({"env_steps": step}) + "\n", encoding="utf-8")
        return Future(None if step is None else distributed.KilledWorker("run", SimpleNamespace(address="tcp://127.0.0.1:1"), 3))


class Future:
    def __init__(self, error):
        self.error, self.status = error, "error" if error else "finished"

    def done(self):
        return True

    def exception(self):
        return self.error


@pytest.mark.parametrize("steps, given_up", [([0, 0, 0], True), ([0, 0, 20, 20, 40, 40, 40], True), ([0, 0, 20, 20, 40, 40], False)])
def test_a_job_is_given_up_when_its_workers_die_and_it_comes_no_further(tmp_path, monkeypatch, steps, given_up):
    monkeypatch.setattr(conduct, "LOOK", 0)
    if not given_up:
        monkeypatch.setattr(job, "train", lambda one, path, workers, look: None)
    one = job.jobs(from_dict(small()), tmp_path)[0]
    client = Client(steps)
    conduct.on_cluster(client, [one], 1, lambda: None)
    assert client.steps == []
    expected = f"its workers died 3 times at step {steps[-1]}, as for want of memory" if given_up else ""
    assert job.failure(one) == expected


def test_a_cluster_that_is_gone_ends_the_study_with_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(conduct, "LOOK", 0)
    client = Client([0])
    client.status = "closed"
    with pytest.raises(DreamerError, match="^the Dask cluster is gone: start the study again, and it goes on where it stopped$"):
        conduct.on_cluster(client, job.jobs(from_dict(small()), tmp_path)[:1], 1, lambda: None)


# --- the command -------------------------------------------------------------------------------


def told(words, capsys):
    """The exit status of the command, and its last line of errors."""
    with pytest.raises(SystemExit) as end:
        main(list(map(str, words)))
    return end.value.code, (capsys.readouterr().err.strip().splitlines() or [""])[-1]


def test_the_command_says_what_is_wrong_in_one_line(tmp_path, capsys):
    out = tmp_path / "out"
    assert told([tmp_path / "no.yaml", "--out", out], capsys) == (
        2,
        f"error: the study {tmp_path / 'no.yaml'} cannot be read (No such file or directory): check the path",
    )
    both = told(["x.yaml", "--out", out, "--workers", 2, "--scheduler", "tcp://127.0.0.1:1"], capsys)
    assert both == (2, "error: workers are processes here and a scheduler has those of a cluster: give one of the two")
    assert told(["x.yaml", "--out", out, "--workers", -1], capsys)[1].startswith("error: the number of workers is -1: give 0 to work")
    assert not out.exists()


def test_the_command_ends_with_1_where_a_run_failed_and_names_it(tmp_path, capsys, mark):
    import yaml

    data = small(worlds=[BUOY | {"env": "small_studies:Broken-v0"}], arms={"cut": SETTINGS}, seeds=[3])
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    code, line = told([tmp_path / "small.yaml", "--out", tmp_path / "out", "--workers", 0], capsys)
    assert code == 1 and line.startswith("cut in buoy, seed 3 failed: small_studies:Broken-v0 raised OverflowError (the wave is too high)")
    assert line.endswith(f"its traceback is in {tmp_path / 'out/runs/buoy/cut/3/failed.txt'}")
    assert "failed: small_studies:Broken-v0 raised" in (tmp_path / "out/report.md").read_text(encoding="utf-8")


def test_the_bar_never_goes_back(tmp_path):
    """A run that keeps no checkpoint begins again; its steps count from where it had been."""
    one = job.jobs(from_dict(small()), tmp_path)[0]
    Path(one.path).mkdir(parents=True)
    told_of = []

    def reach(step):
        lines = [json.dumps({"env_steps": number}) + "\n" for number in range(20, step + 1, 20)]
        (Path(one.path) / "metrics.jsonl").write_text("".join(lines), encoding="utf-8")

    reach(60)
    look = conduct.Watch([one], [one], lambda steps, note: told_of.append(steps))
    for step in (0, 20, 60, 80):
        reach(step)
        look()
    assert told_of == [0, 0, 0, 20], f"the steps that were told of as added: {told_of}"


def test_progress_counts_every_step_once(tmp_path):
    made, told_of = from_dict(small()), []
    make(small(seeds=[3]), tmp_path)
    done, total = conduct.steps(made, tmp_path)
    conduct.make(made, tmp_path, 0, None, lambda steps, note: told_of.append((steps, note)), print)
    assert (done, total) == (160, 320) and done + sum(steps for steps, _ in told_of) == total
    assert told_of[-1][1] == "4 of 4 runs"
