"""The catalogue of errors: every failure that rebake reports, with its words and exit code.

Each class holds what happened as fields; the words are made in one place, here. Every error
says what happened (`what`), where (`where`) and what to do next (`hint`).

Exit codes: 0 done, 1 failed, 2 usage or configuration, 69 no engine, 75 busy or locked,
124 timed out, 130 interrupted (69 and 75 as in BSD's sysexits, 124 as in timeout(1)).
"""

from __future__ import annotations

from rebake.errors.base import (
    EXIT_BUSY,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_NO_ENGINE,
    EXIT_TIMEOUT,
    EXIT_USAGE,
    Problem,
    RebakeError,
    did_you_mean,
    nearest,
)
from rebake.errors.building import (
    BuildFailed,
    NotAttested,
    NotFreed,
    NotVerified,
    NotWarm,
    WrongImage,
)
from rebake.errors.checking import (
    ChecksFailed,
    DatabaseUnusable,
    LimitsMissed,
    QueriesChanged,
    ScannerFailed,
    ToolRefused,
)
from rebake.errors.running import (
    Busy,
    CachesHidden,
    CannotRun,
    CommandFailed,
    DiskFull,
    EngineLost,
    FileRefused,
    Interrupted,
    NoEngine,
    PortInUse,
    ProgramMissing,
    ServiceUnhealthy,
    TimedOut,
)
from rebake.errors.scaffolding import FilesInTheWay, NoPlace, TemplateRefused, UpdateConflicts
from rebake.errors.usage import (
    ConfigError,
    MissingSecrets,
    NotAProject,
    ProjectError,
    UnknownName,
    UsageError,
)

__all__ = [
    "EXIT_BUSY",
    "EXIT_FAILED",
    "EXIT_INTERRUPTED",
    "EXIT_NO_ENGINE",
    "EXIT_TIMEOUT",
    "EXIT_USAGE",
    "BuildFailed",
    "Busy",
    "CachesHidden",
    "CannotRun",
    "ChecksFailed",
    "CommandFailed",
    "ConfigError",
    "DatabaseUnusable",
    "DiskFull",
    "EngineLost",
    "FileRefused",
    "FilesInTheWay",
    "Interrupted",
    "LimitsMissed",
    "MissingSecrets",
    "NoEngine",
    "NoPlace",
    "NotAProject",
    "NotAttested",
    "NotFreed",
    "NotVerified",
    "NotWarm",
    "PortInUse",
    "Problem",
    "ProgramMissing",
    "ProjectError",
    "QueriesChanged",
    "RebakeError",
    "ScannerFailed",
    "ServiceUnhealthy",
    "TemplateRefused",
    "TimedOut",
    "ToolRefused",
    "UnknownName",
    "UpdateConflicts",
    "UsageError",
    "WrongImage",
    "did_you_mean",
    "nearest",
]
