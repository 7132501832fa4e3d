"""Named errors: one sentence that says what is wrong, where, and what to do about it."""


class NapariCamError(Exception):
    """Base of every error that a user can fix; its text is one sentence for that user."""


class VolumeError(NapariCamError):
    """A file or array cannot be read as a volume."""


class WriteError(NapariCamError):
    """A result cannot be written where it was asked for."""


class ModelError(NapariCamError):
    """A model file, its card or its architecture does not fit."""


class PreparationError(NapariCamError):
    """A preparation is ill-formed or does not fit the volume it is applied to."""


class LayerError(NapariCamError):
    """A target layer is unknown, ambiguous or holds no map."""


class TargetError(NapariCamError):
    """A class or another explained score does not exist in the network's output."""


class MethodError(NapariCamError):
    """A CAM method is unknown, or its definition does not cover this network."""


class DeviceError(NapariCamError):
    """A device or precision is not available, or its memory does not suffice."""


class MaskError(NapariCamError):
    """A threshold rule or a mask is out of range or of the wrong shape."""


class ReportError(NapariCamError):
    """What a report is to compare does not fit together, or does not suffice."""


class StatisticsError(ReportError):
    """Numbers, groups or settings do not suffice for a statistic."""


class LookupFailed(NapariCamError, KeyError):
    """A plain string names no map, or more than one."""

    def __str__(self) -> str:
        """Return the sentence itself (``KeyError`` would quote it)."""
        return str(self.args[0])


class TrainingError(NapariCamError):
    """Training data or settings cannot give a usable network."""
