"""The classroom: exercises that check themselves, and whose right answers become the agent.

from dreamer_core.classroom import begin, budget, build, exercise, glossary, hint, progress, solution
"""

from dreamer_core.classroom.budget import budget
from dreamer_core.classroom.glossary import glossary
from dreamer_core.classroom.lesson import agent_parts as parts
from dreamer_core.classroom.lesson import begin, build, exercise, hint, progress, solution
from dreamer_core.classroom.lesson import paper_pieces as pieces

__all__ = ["begin", "budget", "build", "exercise", "glossary", "hint", "parts", "pieces", "progress", "solution"]
