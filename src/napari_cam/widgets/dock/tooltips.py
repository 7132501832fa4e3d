"""What every control of the dock does, with its unit and default: one table."""

from __future__ import annotations

from dataclasses import dataclass

from qtpy.QtWidgets import QWidget


@dataclass(frozen=True)
class Tip:
    """What a control does, the unit of its value and what it stands at.

    Attributes
    ----------
    text
        One or two sentences.
    unit, default
        Empty where the control has none.
    """

    text: str
    unit: str = ""
    default: str = ""

    def __str__(self) -> str:
        parts = [self.text]
        if self.unit:
            parts.append(f"Unit: {self.unit}.")
        if self.default:
            parts.append(f"Default: {self.default}.")
        return " ".join(parts)


TOOLTIPS: dict[str, Tip] = {
    "image": Tip("The image to explain. Nothing in it is changed.", default="the active layer"),
    "slices": Tip(
        "Across which axis a 2D network gets its slices. 3D networks see the whole volume.",
        default="as the network's card says",
    ),
    "extra_axis": Tip(
        "What the axis before the three of space means. Of a time series the point under the "
        "slider is explained.",
        default="time",
    ),
    "several": Tip("Take several layers of one shape as the channels of one image.", default="off"),
    "channels": Tip(
        "Layers to take as channels, from top to bottom in the order the network expects.",
        default="the layer chosen above",
    ),
    "network": Tip("The network that is asked.", default="the sample network"),
    "open_network": Tip(
        "Open a model file: .safetensors (with card), .pt, .pth, .th, .ckpt or .pt2. "
        "Nothing in a file is executed.",
        default="the folder named in Preferences",
    ),
    "architecture": Tip(
        "What weights without a card belong to, such as resnet50 or a timm name.",
        default="found from the weights",
    ),
    "card": Tip("What the network expects and what its outputs mean."),
    "methods": Tip(
        "How evidence becomes a map; tick several to compare them. One forward pass serves all.",
        default="the method named in Preferences (Grad-CAM)",
    ),
    "class": Tip(
        "The class whose evidence is shown. 'predicted' explains each slice's own winner, so "
        "neighbouring slices may show different classes.",
        default="predicted",
    ),
    "layers": Tip(
        "The layer whose maps are weighed: later layers know more about classes, earlier ones "
        "see finer. Resolution in map pixels, stride in input pixels per map pixel. Select several "
        "for separate heatmaps.",
        default="the card's layer, else what enters global pooling",
    ),
    "normalize": Tip(
        "What is stretched to [0, 1]. Per slice shows structure in every slice, also in slices "
        "with little evidence; per volume makes slices comparable. The heatmap chosen in step 4 "
        "and the others of its run change at once; the network is not asked again.",
        unit="share of the strongest evidence",
        default="each slice",
    ),
    "preview": Tip("Explain only the slice on screen: quick, before the whole volume."),
    "run": Tip("Explain all slices, beginning with the one on screen."),
    "cancel": Tip("Stop after the slices that are being computed; finished ones stay."),
    "previous": Tip("Go to the previous slice whose map holds evidence."),
    "next": Tip("Go to the next slice whose map holds evidence."),
    "scores": Tip(
        "What the network says about the slice on screen. Follows the slider.",
        unit="score before softmax, and probability in %",
    ),
    "heatmap": Tip("The heatmap to cut.", default="the latest"),
    "rule": Tip(
        "How the cut is chosen: a fixed value, a share of the pixels (quantile), or Otsu's best "
        "separation of each slice.",
        default="fixed",
    ),
    "scope": Tip(
        "Whose values quantile and Otsu are taken from: each slice's own, or the whole volume's.",
        default="each slice",
    ),
    "cut": Tip(
        "Fixed: the heatmap value above which a pixel belongs to the mask. Quantile: the share of "
        "pixels that stay below the cut.",
        unit="0 to 1",
        default="0.5 (quantile 0.9)",
    ),
    "inequality": Tip("Whether a pixel must exceed the cut or may equal it.", default=">"),
    "gate": Tip(
        "Leave the mask empty in slices for which the network predicts another class. With "
        "per-slice stretching even a healthy slice would get a mask.",
        default="off",
    ),
    "make_mask": Tip("Add a labels layer with the mask; the slider then changes it live."),
    "keep_mask": Tip(
        "Keep the mask as it is, to edit by hand; the slider then begins a new one. Painting "
        "into the mask keeps it, too."
    ),
    "size": Tip(
        "How much the mask covers: share of what the network saw, and volume.",
        unit="% and mL (pixels without voxel size)",
    ),
    "result": Tip("The heatmap or mask to save or to copy.", default="the latest"),
    "save": Tip(
        "Write on the image's own grid: NIfTI (.nii.gz, .nii) or TIFF (.tif), with a .json beside "
        "it that says how it was made. No patient identity is written.",
        default="NIfTI",
    ),
    "copy_python": Tip("Copy a script that makes the same heatmap and mask."),
    "copy_command": Tip("Copy the command lines that make the same heatmap and mask files."),
    "device": Tip(
        "Where the network runs and how precisely; change it in File > Preferences.",
        default="auto: CUDA, then MPS, then CPU",
    ),
}
"""By the control's object name."""


def describe(widget: QWidget, name: str, more: str = "") -> None:
    """Give `widget` its name and its tooltip of the table, with `more` in front of it."""
    widget.setObjectName(name)
    widget.setToolTip(f"{more} {TOOLTIPS[name]}".strip())
