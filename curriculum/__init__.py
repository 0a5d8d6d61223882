"""Curricula: what to practise next, and the generated problems to practise on.

Knows tasks in a box and indices, never a learner's rows; no HTTP, no SQL.
"""
