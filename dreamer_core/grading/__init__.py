"""Marks for a class: the notebooks of students are read, and each answer is judged where it can neither cheat nor do harm.

An answer never meets its judge. It lives in a process of its own (`room`), started anew for each answer, which
holds the agent but neither the exercises nor their right answers: the function that an exercise asks for is emptied
there, wherever it is known. The judge sends inputs and gets numbers (`wire`), gradients included (`remote`); what is right,
and the seed of the inputs, it keeps to itself. So nothing that an answer does to its own process can make a verdict: there is none in it.

    notebook    takes the answers, and what they need, out of a notebook
    remote      an answer in its room as a function that can be judged; limits of time and memory
    marks       points for one answer, with a reason
    page        marks.csv, and a page for each student
    handout     the folder for students, and the source of an nbgrader assignment
    autograde   nbgrader's marks from the same judge

**What it does not protect against.**
* A right answer that somebody else wrote, or `solution("3.2")` typed off. An answer of three statements or more that equals the course's
  own to the letter is told to the teacher, and so is one that another student has too. Marks are not touched: no program knows who wrote
  it first.
* The files of the course on a system where a program cannot be kept from opening files (Windows), when they are read past Python,
  by a library's own C code. On Linux and macOS the process of an answer cannot open any file at all.
* Attacks on the system itself: an answer runs as the user who grades. It has no files, no new processes and no network by Python's
  audit hooks and, where the system has them, by limits that it cannot raise (but root could). A class that may attack the machine is
  graded in a container.
"""
