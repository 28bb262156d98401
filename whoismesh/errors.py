"""Every error whoismesh raises on purpose, split by whose fault it is.

A message says what was expected, what came and what to do, in one line. The exit code of a command is the
`exit_code` of the error that ended it (the numbers are those of BSD's sysexits.h where it has one).
"""


class WhoismeshError(Exception):
    """Base of all errors raised by whoismesh. `exit_code` is what a command ends with."""

    exit_code = 1


class UsageError(WhoismeshError):
    """The command line or an argument of a public function is wrong."""

    exit_code = 2


class AddressError(UsageError, ValueError):
    """A text is no address, CIDR or range, or a range is impossible."""


class UnavailableError(WhoismeshError):
    """Something outside is missing: a registry, a port, an optional package."""

    exit_code = 69


class TryAgainError(WhoismeshError):
    """It could not be done now and may be done later; nothing was lost."""

    exit_code = 75


class CrawlReplacedError(TryAgainError):
    """A mesh was joined, and its coordinator runs another crawl now: join again to follow that one."""


class ConfigError(WhoismeshError):
    """A setting, a state folder or a table is not what it has to be. `problems` lists all of them."""

    exit_code = 78

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


class StateError(ConfigError):
    """A state file is damaged, foreign or newer than this program."""


class DumpError(WhoismeshError):
    """A dump is not one, is cut short or does not match its footer."""


class MessageError(WhoismeshError):
    """A frame from a peer breaks the protocol. Counted and dropped by the daemons, never raised through them."""
