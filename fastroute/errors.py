"""The error family. Each message says where, what, and what would do; the CLI prints it as one line and exits with 2."""


class FastrouteError(Exception):
    """Anything fastroute refuses. Children also inherit the builtin that a caller would catch."""


class AddressError(FastrouteError, ValueError):
    """Text or a number that is not an address or a prefix; names the first bad positions."""


class TableError(FastrouteError, ValueError):
    """Prefixes or values that cannot make a lookup table."""


class InputError(FastrouteError, ValueError):
    """A file or folder that cannot be read as what it should be: path, place in it, and the way out."""


class OutputError(FastrouteError, OSError):
    """The result could not be written; nothing is left behind."""


class SnapshotError(FastrouteError, ValueError):
    """A snapshot that cannot be compiled."""


class EndpointError(FastrouteError, LookupError):
    """A name (pod, node, ENI, instance, address) that the snapshot does not hold."""
