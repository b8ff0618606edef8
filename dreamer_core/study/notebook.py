"""A study from a notebook: a few seeds of a few arms, a bar, and the same report."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dreamer_core.study import conduct, report
from dreamer_core.study.plan import from_dict
from dreamer_core.study.results import Results
from dreamer_core.viz.show import Progress, picture


class Report:
    """The report of a study; as the last line of a cell it shows itself.

    Attributes:
        results: scores, returns and curves as arrays. text: report.md. out: the study's folder.
    """

    def __init__(self, results: Results) -> None:
        self.results, self.text, self.out = results, report.write(results), results.out

    @property
    def verdict(self) -> str:
        """Is it better? A line for each arm but the first."""
        return report.verdicts(self.results)[0]

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """Markdown with the figures inside it, which a notebook keeps."""

        def inside(link: re.Match) -> str:
            return picture(report.FIGURES[link[1]](self.results)).data

        return {"text/markdown": re.sub(r"!\[[^\]]*\]\((\w+)\.png\)", inside, self.text), "text/plain": self.verdict}


def study(
    arms: Mapping[str, Mapping[str, Any]],
    worlds: Sequence[Mapping[str, Any]],
    seeds: Sequence[int],
    out: Path | str,
    workers: int | None = None,
    scheduler: str | None = None,
    **rest: Any,
) -> Report:
    """Compare arms over worlds and seeds: "is it better?" in one line.

    Args:
        arms: settings by name, as `{"default": {}, "uncut": {"model.detach-z": False}}`; the first is what the others are held against.
        worlds: as in a study's YAML file: env, env_steps, random, best, and what may be left out (`plan.py`).
        seeds: as `range(3)`. out: folder of the runs; called again, only what is missing there is made.
        workers: processes (default: one per core). They run the package as it is on disk; with 0 the runs are made in this process,
            one after the other, and functions that you have replaced in it take part. scheduler: address of a Dask cluster instead.
        rest: `name` and `evaluation` of the study.

    Raises:
        DreamerError: the plan or the number of workers is wrong, a world or an arm cannot be made here, the folder belongs to another
            study or cannot be written to, or the cluster fails. A run that fails is named in the report.
    """
    conduct.check_workers(workers, scheduler)
    out = Path(out)
    plan = from_dict({"name": out.absolute().name, "arms": arms, "worlds": worlds, "seeds": seeds, **rest})
    conduct.check_here(plan, out, scheduler)
    with conduct.held(plan, out):
        done, total = conduct.steps(plan, out)
        bar = Progress(total, "steps of the study")
        bar.update(done)
        conduct.make(plan, out, workers, scheduler, bar.update, print)
        bar.draw()
        return Report(Results(plan, out))
