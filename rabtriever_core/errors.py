"""The named errors a user can meet; every message says what is wrong, where, and what to do."""


class RabtrieverError(Exception):
    """Base of all errors raised on purpose; the command line prints them without a traceback."""


class ConfigError(RabtrieverError):
    """A setting is missing, misspelt or out of range."""


class DatasetError(RabtrieverError):
    """A data set cannot be read: missing folder or file, malformed line, wrong column."""


class ValidationStoppedError(RabtrieverError):
    """A rule over the whole data set is broken, so nothing downstream may run."""


class ModelError(RabtrieverError):
    """A backbone cannot be used: not found, or its T/F answers are not single tokens."""


class ArtifactError(RabtrieverError):
    """An artifact is missing, damaged, or was made from other parents than expected."""


class DeviceMemoryError(RabtrieverError):
    """A stage needs more memory than the accelerator has."""


class DiskFullError(RabtrieverError):
    """There is no room left to write; what was finished before is kept."""


class StageBusyError(RabtrieverError):
    """Another process is building the same artifact, or holds a lock that is needed."""


class IndexUnavailableError(RabtrieverError):
    """Qdrant or the query service cannot be reached, or another process locks the local folder."""


class IndexMismatchError(RabtrieverError):
    """A collection does not fit: other parents, other size, or a ranking that differs."""


class FilterError(RabtrieverError):
    """A search filter is no filter: unknown field name, wrong kind of value, or too much of it."""


class ReleaseError(RabtrieverError):
    """A release is unknown, incomplete, or cannot be served."""


class UnknownReleaseError(ReleaseError):
    """There is no such release, or its collection or models are no longer here."""


class UnknownDocumentError(RabtrieverError):
    """The served collection has no document of that id."""


class VectorError(RabtrieverError):
    """A vector is not finite or has the wrong dimension."""


class VersioningError(RabtrieverError):
    """DVC could not record or restore an artifact."""


class TrackingError(RabtrieverError):
    """Another tool could not be told of a release."""
