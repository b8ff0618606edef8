"""Is it better? Arms by worlds by seeds, made on as many processes as there are, and reported with what is sure and what is not.

python -m dreamer_core.study STUDY.yaml --out DIR          plan.py says what a file holds
from dreamer_core.study.notebook import study              the same in a notebook
"""
