"""`proxima demo`: a school with pupils, a fitted model and a dashboard, from nothing."""

from app.demo.commands import demo_command

__all__ = ["demo_command"]
