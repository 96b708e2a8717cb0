"""Errors that are the user's to fix. Every other exception is a bug of ours and keeps its traceback.

PixelpruneError
├── ParamsError     params.yaml does not describe a study
├── DataError       an image, annotation, archive or mirror is not what it should be
├── ArtifactError   a file of the pipeline is missing, damaged, or not what its name says
└── TrainingError   a training that came to nothing
"""


class PixelpruneError(Exception):
    """Says where, what was found, what was expected, and what to do. `cli.run` prints it and exits with 2."""


class ParamsError(PixelpruneError):
    """params.yaml does not describe a study."""


class DataError(PixelpruneError):
    """An image, annotation, archive or mirror is not what it should be."""


class ArtifactError(PixelpruneError):
    """A file of the pipeline is missing, damaged, or not what its name says."""


class TrainingError(PixelpruneError):
    """A training that came to nothing."""
