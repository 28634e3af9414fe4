"""What a user can cause and mend: the command line says such an error in one line, the page in a sentence."""

from __future__ import annotations


class UserError(Exception):
    """The message says what was wrong and what would be right."""


class UsageError(UserError, ValueError):
    """Arguments that do not make sense together; the message says what would be right."""


class PageError(UserError, ValueError):
    """Something a visitor can read and act upon."""


class PhotoError(UserError, ValueError):
    """A photo that cannot be used; the message says why and what would be right."""


class MaskError(UserError, ValueError):
    """A mask that cannot be used; the message says what was wrong and what would be right."""


class UnknownMethodError(UserError, ValueError):
    """A method that is not in the registry; the message lists those that are."""


class ControlError(UserError, ValueError):
    """A control or option that a method does not have, or a value outside its range; the message names both."""


class CompletionError(UserError, RuntimeError):
    """A completion that broke down on the way; the message says how. The last step before it still holds."""


class DeviceError(UserError, ValueError):
    """A device that is unknown or not there; the message names the setting and what it may be."""


class WeightsError(UserError, RuntimeError):
    """Weights that are missing, damaged or do not fit; the message names the file and what to do."""


class DataError(UserError, ValueError):
    """Training or test data that is missing or not in the expected layout; the message says which file and why."""


class TrainingError(UserError, RuntimeError):
    """Training that cannot go on; the message says at which step and why."""


class PublishError(UserError, RuntimeError):
    """Weights that could not be published; the message says why."""


class SoakError(UserError, RuntimeError):
    """The server cannot be soaked; the message says why."""


class EditError(UserError, ValueError):
    """An edit that cannot be made; the message says why. What was there before it stays."""
