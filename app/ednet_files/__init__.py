"""EdNet archives <-> rows: lossless import and export, and the columns that fits and replays read."""

from app.ednet_files.exporting import ExportReport, FileWritten, export_source
from app.ednet_files.frames import answers_of, course_frames, learner_rows, learner_statement
from app.ednet_files.importing import FileDone, ImportReport, RefusedFile, import_folder
from app.ednet_files.logs import Flag
from app.ednet_files.rows import EdnetFilesError

__all__ = [
    "EdnetFilesError",
    "ExportReport",
    "FileDone",
    "FileWritten",
    "Flag",
    "ImportReport",
    "RefusedFile",
    "answers_of",
    "course_frames",
    "export_source",
    "import_folder",
    "learner_rows",
    "learner_statement",
]
