"""What can go wrong between the command line and a server."""

from model.errors import PoseError


class ServerAway(PoseError):
    """The server does not answer, or answers that it cannot now."""


class RequestRefused(PoseError):
    """The server does not do what was asked; its problem document says why."""
