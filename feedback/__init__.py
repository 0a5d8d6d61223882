"""Equation-of-thought feedback: checks pupils' work with equations that a solver has verified."""
