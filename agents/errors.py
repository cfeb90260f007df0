"""The errors of the agent program, apart from those of the wire (agents/protocol/errors.py).

AgentError
├── ConfigurationError   a file, option or state folder that cannot be used: exit 78
├── EnrolmentError       the server refused, or the token is unfit: exit 77
├── StateError           state cannot be read or written durably: exit 74
├── ShellError           a shell cannot be started as this user
└── PolicyRefusal        the machine's own policy says no
"""


class AgentError(Exception):
    """An error of the agent; its text is one sentence that says what to do."""

    exit_code = 70


class ConfigurationError(AgentError):
    """Options, policy file or state folder cannot be used as they are."""

    exit_code = 78


class EnrolmentError(AgentError):
    """The agent could not be enrolled."""

    exit_code = 77


class StateError(AgentError):
    """The state folder cannot be read or written."""

    exit_code = 74


class ShellError(AgentError):
    """A shell cannot be started as this user, for a reason that a technician may read."""

    exit_code = 69


class PolicyRefusal(AgentError):
    """The machine's own policy file refuses this."""

    exit_code = 77
