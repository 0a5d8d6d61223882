"""What can go wrong in `tracing`.

TracingError
├── SchemaError      a frame or a file does not fit: the message names the column, row or file
├── NotEnoughData    too few learners or answers for what was asked
├── TimeReversed     an event lies before the state it should advance (the caller replays)
├── DidNotConverge   an optimiser stopped before its tolerance
├── DeviceUnavailable  the device asked for is not there
└── ArtifactError    a saved fit is of another format, damaged, or not the one expected
"""


class TracingError(Exception):
    """Base of every error of this library."""


class SchemaError(TracingError):
    """A frame or a file does not fit the EdNet contract."""


class NotEnoughData(TracingError):
    """Too few learners or answers for what was asked."""


class TimeReversed(TracingError):
    """An event lies before the state it should advance."""


class DidNotConverge(TracingError):
    """An optimiser stopped before its tolerance was reached."""


class DeviceUnavailable(TracingError):
    """The device asked for is not there."""


class ArtifactError(TracingError):
    """A saved fit cannot be trusted or read."""
