"""Trip (e): rows -> fit -> gates -> promotion -> knowledge brought to the new fit."""

from app.refit.commands import fits_command, promote_command, refit_command, rollback_command
from app.refit.running import Outcome, Stage, carry_out

__all__ = [
    "Outcome",
    "Stage",
    "carry_out",
    "fits_command",
    "promote_command",
    "refit_command",
    "rollback_command",
]
