"""What v1 cut from DreamerV3, one file per piece, each switched on by one setting.

The core reads without this room. Where versions of the paper differ, the docstrings name them: the text
and the code of 2023 and of 2024 (arXiv 2301.04104, v1 and v2), and the current code, whose README names
the article in Nature of 2025 (github.com/danijar/dreamerv3, commit e3f0224); the numbers in
tests/paper/vectors.json come from the last.
"""
