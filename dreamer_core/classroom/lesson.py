"""What a learner types: begin, exercise, build, hint, solution, progress.

An exercise that is not attempted, or wrong, is filled in with the course's own version, so that a
notebook always goes on. One that is right becomes part of the agent, here and in later notebooks.
"""

import os
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator

from dreamer_core.classroom import ledger, transplant
from dreamer_core.classroom.answer import attempted, begun, revive, source_of, untouched
from dreamer_core.classroom.build import Build
from dreamer_core.classroom.build_judge import Finding, judge_build, judge_text, takes_class, told
from dreamer_core.classroom.builds import collect_builds
from dreamer_core.classroom.call import code_of, kind_of, one_line
from dreamer_core.classroom.contain import GRACE, Lost, OutOfTime, apart, kept, quiet, time_limit
from dreamer_core.classroom.exercises import collect
from dreamer_core.classroom.judge import SECONDS, CourseFault, Verdict, judge, look_and_compare
from dreamer_core.classroom.lines import lines_of_the_agent
from dreamer_core.classroom.paste import cell_of, pasteable
from dreamer_core.classroom.spec import DIFFICULTY, IMPORTANCE, Exercise

EXERCISES = collect()
BUILDS = collect_builds()
states: dict[str, str] = {}  # "right" (seen to pass in this kernel), "claimed" (by the ledger) or "wrong"
hints_given: dict[str, int] = {}
here: dict[str, str] = {}  # which notebook this kernel has begun


class Unsolved(Exception):
    """Strict mode: an exercise is not attempted or wrong. Shown as one sentence."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def strict() -> bool:
    """Whether an exercise that is not solved stops the notebook (environment variable DREAMER_STRICT=1), for tests; not for marks."""
    return os.environ.get("DREAMER_STRICT") == "1"


def begin(notebook: str, trust: bool = False) -> None:
    """Open a notebook: load every earlier right answer into the agent and say how things stand.

    Answers that you did not write yourself, as this user, are listed and not run: an answer is a program.

    Args:
        notebook: its number, as "03".
        trust: sign the stored answers as your own first, whoever wrote them. Look at them before.
    """
    if trust:
        print(ledger.trust())
    entries, trouble = ledger.load()
    if trouble:
        print(trouble)
    strangers = []
    for number, entry in entries.items():
        states[number] = "wrong" if entry["state"] == "wrong" else "claimed"
        if states[number] == "claimed" and number in EXERCISES | BUILDS and entry.get("source"):
            if not ledger.is_own(number, entry):
                strangers.append(number)
            elif revive_part((EXERCISES | BUILDS)[number], "\n".join(entry["source"])):
                states[number] = "right"
    if strangers:
        print(
            f"{ledger.path().name} holds answers that you did not write on this computer: {', '.join(strangers)}. They are not run. "
            f'Look at them there; begin("{notebook}", trust=True) runs them, and signs them as yours.'
        )
    own = [exercise for exercise in EXERCISES.values() if notebook_of(exercise.id) == notebook]
    if own:
        minutes = sum(exercise.minutes for exercise in own)
        print(f"Exercises here: {own[0].id} to {own[-1].id}, about {minutes} minutes in all. Skip any of them: the notebook goes on.")
    larger = [each for each in BUILDS.values() if notebook_of(each.id) == notebook]
    if larger:
        listed = ", ".join(f"{each.id} ({each.minutes} min)" for each in larger)
        print(f"To build here, if you like the long path: {listed}.")
    here["notebook"] = notebook
    mine, solved = sum(part.mine for part in agent_parts()), sum(states.get(number) == "right" for number in EXERCISES)
    told = f"You have solved {solved} of {len(EXERCISES)} exercises. " if solved else ""
    print(f"{told}Parts of the agent that are your own code: {mine} of {len(agent_parts())}.")
    if stand := sum(states.get(number) == "right" for number in BUILDS):
        print(f"Builds of yours that stand: {stand} of {len(BUILDS)}.")
    if any(each.in_agent and not each.in_v1 for each in own):
        print(f"Pieces of the paper that are your own code: {sum(piece.mine for piece in paper_pieces())} of {len(paper_pieces())}.")


def notebook_of(number: str) -> str:
    """ "3.2" -> "03"."""
    return number.split(".")[0].zfill(2)


def revive_part(exercise: Exercise | Build, source: str) -> bool:
    """Install an earlier answer, if it still stands on its own; returns whether it does."""
    if isinstance(exercise, Build):
        finding = judge_text(exercise, lambda: revive(exercise, source))
        right, message = finding.right, reason(finding)
    else:
        right, message, *_ = judge_alone(exercise, source)
    if right:
        try:
            with kept(chance=True), quiet(), time_limit(SECONDS):
                made = revive(exercise, source)
                (transplant.install_build if isinstance(exercise, Build) else transplant.install)(exercise, made)
            return True
        except (OutOfTime, Exception) as error:  # it was read in the child without trouble, and is not the same twice
            message = f"It stopped with {one_line(error)}."
    print(f"Your earlier {exercise.id} ({exercise.title}) does not pass here, so the course's version runs. {message}")
    return False


def judge_alone(exercise: Exercise, source: str) -> Verdict:
    """How the function fares that an answer's text makes without its notebook.

    Raises:
        KeyboardInterrupt: the learner stopped it.
    """

    def read_and_judge() -> Iterator[Verdict]:
        with quiet():  # what stands in the text's head, a default or a decorator, runs when it is read
            function = revive(exercise, source)
        yield from look_and_compare(exercise, function)

    try:
        return apart(read_and_judge, SECONDS + GRACE)
    except KeyboardInterrupt:
        raise
    except Lost as lost:
        return Verdict(False, f"It was still running after {SECONDS} seconds." if lost.late else str(lost))
    except BaseException as error:
        stopped = one_line(error)
        return Verdict(False, f"It stopped with {stopped}.", stopped=stopped)


def exercise(number: str | Callable | None = None) -> Callable:
    """Decorator: check the function below, say what came of it, and return what the notebook goes on with.

    Not attempted or wrong: the course's version (or your own from before). Right: your function,
    and the agent runs it from here on.

    Args:
        number: the exercise, as "3.2". (Without it, as in `@exercise`, this is the function below.)

    Raises:
        Unsolved: in strict mode alone, if it is not attempted or wrong.
    """

    if callable(number):
        return unnumbered(number)

    def check(function: Callable) -> Callable:
        if number is None:
            return unnumbered(function)
        asked = find(number)
        if asked is None:
            return function
        if not callable(function):
            print(f"{asked.id} · @exercise stands above a function (def ...), not above {kind_of(function)}.")
            return settle(asked)
        try:
            if not attempted(function):
                left = (
                    "a `...` is left in your function: take it out, or put code in its place." if begun(function) else "not attempted yet."
                )
                return unsolved(asked, f"· {asked.heading} {left}")
            with warnings.catch_warnings(), transplant.knows_itself(function):
                warnings.simplefilter("ignore")
                verdict = judge(asked, function)
        except KeyboardInterrupt:
            return unsolved(asked, f"✗ {asked.heading} you stopped the check while your function was running.")
        except CourseFault as fault:
            print(f"{asked.heading} {fault}. This is a fault of the course, not yours, and your attempt does not count.")
            return settle(asked)
        if verdict.printed:
            print(f"Your function printed:\n{textwrap.indent(verdict.printed.rstrip(), '    ')}")
        return accept(asked, function) if verdict.right else refuse(asked, verdict)

    return check


def unnumbered(function: Callable) -> Callable:
    """`@exercise` without its number: say so, and leave the function as it is."""
    code = code_of(function)
    fitting = next((e.id for e in EXERCISES.values() if code is not None and e.reference.__name__ == code.co_name), "3.2")
    print(f'@exercise stands without its number, so nothing was checked: write @exercise("{fitting}").')
    return function


def accept(asked: Exercise, function: Callable) -> Callable:
    """A right answer: count it, install it, and keep its text if it can stand alone."""
    source, note = portable(asked, function)
    states[asked.id] = "right"
    trouble = ledger.record(asked.id, state="right", source=source.splitlines())
    transplant.install(asked, function)
    if asked.in_agent and asked.runs_with:
        told = f"An agent with {asked.runs_with} runs your version from here on (the default agent does not come by)."
    elif asked.target:
        told = f"{'The agent runs' if asked.in_agent else 'The pictures of the course use'} your version from here on."
    else:
        told = "Well done."
    print(" ".join(filter(None, (f"✓ {asked.heading} right. {told}", note, trouble))))
    return function


def portable(asked: Exercise, function: Callable) -> tuple[str, str]:
    """The text to keep, and a remark if it cannot be taken to the next notebook."""
    source = source_of(function)
    if not source:
        return "", "Its text could not be read, so it counts in this notebook only."
    again = judge_alone(asked, source)
    if again.right:
        return source, ""
    trouble = f"it stops with {again.stopped}" if again.stopped else "it gives something else"
    return "", f"On its own {trouble}, so it counts in this notebook only: move what it needs inside, to take it along."


def refuse(asked: Exercise, verdict: Verdict) -> Callable:
    """A wrong answer: say what is wrong, once, and go on."""
    if states.get(asked.id) not in ("right", "claimed"):
        states[asked.id] = "wrong"
        ledger.record(asked.id, state="wrong")
    return unsolved(asked, f"✗ {asked.heading} {verdict.message}")


def unsolved(asked: Exercise, sentence: str) -> Callable:
    """Say so and go on with the course's version, or stop in strict mode.

    Raises:
        Unsolved: in strict mode.
    """
    if strict():
        raise Unsolved(sentence)
    own = asked.id in transplant.installed
    stands = "your earlier version stays" if own else "the course's version is used"
    print(f'{sentence}\n  For now {stands}, so you can go on. hint("{asked.id}") helps.')
    return settle(asked)


def settle(asked: Exercise) -> Callable:
    """What the notebook goes on with: the learner's earlier right answer, or the reference."""
    return transplant.current(asked) if asked.id in transplant.installed else asked.reference


# --- builds -------------------------------------------------------------------------------------------


def build(number: str) -> Callable:
    """Decorator: check the class or function below, property by property, and return what the notebook goes on with.

    Builds are optional: one that is not attempted stops nothing, in strict mode neither.

    Args:
        number: the build, as "3.A".

    Raises:
        Unsolved: in strict mode alone, if it is wrong.
    """

    def check(made: Callable) -> Callable:
        asked = BUILDS.get(number)
        if asked is None:
            print(f"There is no build {number!r}: progress() lists them all.")
            return made
        if other := takes_class(asked, made):
            print(other)
            return settle_build(asked)
        if untouched(made):
            print(
                f'· {asked.heading} to build, if you like ({asked.minutes} min); hint("{asked.id}") helps. Without it the notebook goes on.'
            )
            return settle_build(asked)
        try:
            finding = judge_build(asked, made)
        except KeyboardInterrupt:
            print(f"✗ {asked.heading} you stopped the check while your code was running.")
            return settle_build(asked)
        if finding.printed:
            print(f"Your code printed:\n{textwrap.indent(finding.printed.rstrip(), '    ')}")
        return accept_build(asked, made, finding) if finding.right else refuse_build(asked, finding)

    return check


def accept_build(asked: Build, made: Callable, finding: Finding) -> Callable:
    """Everything holds: count it, install it, and keep its text if it can stand alone."""
    source, note = source_of(made), ""
    if not source:
        note = "Its text could not be read, so it counts in this notebook only."
    elif not (again := judge_text(asked, lambda: revive(asked, source))).right:
        source, note = "", f"On its own it does not pass ({reason(again)}), so it counts in this notebook only: take what it needs inside."
    states[asked.id] = "right"
    trouble = ledger.record(asked.id, state="right", source=source.splitlines())
    transplant.install_build(asked, made)
    if asked.in_agent and asked.runs_with:
        runs = f"An agent with {asked.runs_with} that you make from here on runs yours."
    elif asked.in_agent:
        runs = "An agent that you make from here on runs yours." if asked.is_class else "The agent runs yours from here on."
    else:
        runs = "The pictures of the course use yours from here on." if asked.target else "Well done."
    lines = lines_of_the_agent(EXERCISES, BUILDS)
    counted = f"Of the {lines.all} lines that the agent runs, {lines.replaced} have code of yours in their place." if asked.in_agent else ""
    print(f"✓ {asked.heading} all {len(finding.lines)} properties hold.\n{told(asked, finding)}")
    print("  " + " ".join(filter(None, (runs, counted, note, trouble))))
    return made


def refuse_build(asked: Build, finding: Finding) -> Callable:
    """Say which properties hold and which do not, and go on.

    Raises:
        Unsolved: in strict mode.
    """
    if states.get(asked.id) not in ("right", "claimed"):
        states[asked.id] = "wrong"
        ledger.record(asked.id, state="wrong")
    holds = sum(line.state == "holds" for line in finding.lines)
    said = f"✗ {asked.heading} {holds} of {len(asked.properties)} properties hold. {finding.message}".rstrip()
    said += f"\n{told(asked, finding)}"
    if strict():
        raise Unsolved(said)
    stays = "your earlier version stays" if asked.id in transplant.built else "the course's version is used"
    print(f'{said}\n  For now {stays}, so you can go on. hint("{asked.id}") helps.')
    return settle_build(asked)


def settle_build(asked: Build) -> Callable:
    """What the notebook goes on with: what the learner built earlier, or the course's own."""
    return transplant.built[asked.id][1] if asked.id in transplant.built else asked.reference


def reason(finding: Finding) -> str:
    """The first thing that does not hold, in a sentence."""
    return next((f"{line.name}: {line.sentence}" for line in finding.lines if line.state != "holds"), "")


def find(number: str) -> Exercise | Build | None:
    """The exercise or build of that number; says so if there is none."""
    found = (EXERCISES | BUILDS).get(str(number))
    if found is None:
        print(f"There is no exercise {number!r}: progress() lists them all.")
    return found


def hint(number: str) -> None:
    """The next hint, mildest first; after the last one they begin again."""
    if asked := find(number):
        given = hints_given.get(asked.id, 0) % len(asked.hints)
        hints_given[asked.id] = given + 1
        print(f"Hint {given + 1} of {len(asked.hints)} for {asked.id}: {asked.hints[given]}")


def solution(number: str) -> None:
    """The course's own version, as the agent runs it; it can be pasted into the cell below `@exercise`. Of a build, the whole cell."""
    if asked := find(number):
        known = vars(sys.modules["__main__"])
        print(cell_of(asked, known) if isinstance(asked, Build) else pasteable(asked, known))


def progress(all: bool = False, reset: bool = False) -> None:
    """A table of this notebook's exercises and how they stand.

    Args:
        all: show those of every notebook.
        reset: begin anew; your answers are kept in a file with another name.
    """
    if reset:
        for number in list(transplant.built):
            transplant.remove_build(BUILDS[number])
        for number in list(transplant.installed):
            transplant.remove(EXERCISES[number])
        states.clear()
        hints_given.clear()
        print(ledger.reset())
        return
    entries, trouble = ledger.load()
    if trouble:
        print(trouble)
    claims = {number: "wrong" if entry["state"] == "wrong" else "claimed" for number, entry in entries.items()}
    known = claims | states
    marks = {"right": "✓", "wrong": "✗", "claimed": "?"}
    shown, builds = (
        [asked for asked in every.values() if all or notebook_of(asked.id) == here.get("notebook", notebook_of(asked.id))]
        for every in (EXERCISES, BUILDS)
    )
    titles = {asked.id: asked.title for asked in shown} | {asked.id: f"{asked.title} (build)" for asked in builds}
    for asked in [*shown, *builds]:
        mark, words = marks.get(known.get(asked.id), "·"), f"{DIFFICULTY[asked.difficulty]}, {IMPORTANCE[asked.importance]}"
        print(f"{mark} {asked.id:<5}{titles[asked.id]:<44} {words:<21} {asked.minutes:>3} min")
    done = sum(known.get(number) == "right" for number in EXERCISES)
    larger = sum(known.get(number) == "right" for number in BUILDS)
    rest = "" if len(shown) == len(EXERCISES) else " in the whole course (progress(all=True) lists them)"
    mine = sum(part.mine for part in agent_parts())
    if any(known.get(number) == "claimed" for number in EXERCISES | BUILDS):
        print("?: solved in another notebook, as the file of answers says; not seen to pass in this one.")
    print(f"{done} of {len(EXERCISES)} solved{rest}. The agent in this notebook runs {mine} of your {len(agent_parts())} parts.")
    if larger:
        lines = lines_of_the_agent(EXERCISES, BUILDS)
        counted = f"Of the {lines.all} lines that the agent runs, {lines.replaced} have code of yours in their place."
        print(f"{larger} of {len(BUILDS)} builds stand. {counted}")


def agent_parts() -> list[transplant.Part]:
    """Every part of v1 that an exercise builds, and whether it is the learner's own now."""
    return [part_of(each) for each in EXERCISES.values() if each.in_v1]


def paper_pieces() -> list[transplant.Part]:
    """The same for what v1 cut from the paper."""
    return [part_of(each) for each in EXERCISES.values() if each.in_agent and not each.in_v1]


def part_of(built: Exercise) -> transplant.Part:
    """What an exercise builds, and whether the learner's own runs there."""
    return transplant.Part(built.id, built.title, built.target, built.id in transplant.installed)
