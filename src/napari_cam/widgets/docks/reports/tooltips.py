"""What every control of the dock "CAM reports" does, with its unit and default."""

from __future__ import annotations

from napari_cam.widgets.controls.tooltips import Tip, take_table

REPORT_TOOLTIPS: dict[str, Tip] = {
    "report_image": Tip("The image whose maps are judged.", default="the active image"),
    "report_kind": Tip(
        "Overlap: each map beside a reference. Agreement: the maps beside each other; those that "
        "agree are not thereby right. Faithfulness: the network itself is asked whether each map "
        "shows what it used.",
        default="overlap",
    ),
    "all_cams": Tip(
        "Tick all CAM heatmaps of this image, also those that are still to come; consensus maps, "
        "means and masks are ticked by hand.",
        default="on",
    ),
    "judged": Tip(
        "What is judged. Masks and labels stay as they are (all but 0 counts, of seeds the "
        "classes); heatmaps are cut at every threshold.",
        default="all CAM heatmaps of the image",
    ),
    "report_reference": Tip(
        "Labels to compare with, such as somebody's outline. Agreement needs none.", default="none"
    ),
    "report_reference_labels": Tip(
        "Which labels of the reference count, with commas between them; empty for all but 0."
    ),
    "report_foreground": Tip(
        "Where voxels count: everywhere, in the tissue that the image shows, or in what is not 0 "
        "in a labels layer. Statistics of thresholds are taken from there, too.",
        default="everywhere",
    ),
    "report_thresholds": Tip(
        "Where heatmaps are cut: numbers, ranges from..to or from..to:step, and rules such as "
        "otsu, li, quantile:0.9, area:0.1, with commas between them.",
        unit="share of 1",
        default="0.1..0.9",
    ),
    "report_headline": Tip(
        "The threshold that tables, matrix and pictures show first.", default="0.5"
    ),
    "report_inequality": Tip("Whether a voxel at the cut is in.", default=">"),
    "report_empty": Tip(
        "What two empty masks count as: undefined (left out of means and counted), 0 or 1.",
        default="undefined",
    ),
    "report_soft": Tip(
        "Also what needs no threshold: peak and energy inside, average precision, soft overlap; "
        "of agreement the rank correlation.",
        default="on",
    ),
    "report_surfaces": Tip(
        "Also HD95 and mean surface distance at the first threshold, in mm.", default="on"
    ),
    "report_names": Tip(
        "Call maps in the report as their layers. Layers are often called after files, and those "
        "may name patients; else maps are called by what made them.",
        default="off",
    ),
    "report_resample": Tip(
        "Bring layers that lie on another grid onto the image's, through world coordinates: "
        "heatmaps linearly, labels from the nearest voxel. Without it they are refused.",
        default="off",
    ),
    "report_network": Tip(
        "The network that made the maps. One that the CAM dock has open is taken as it is.",
        default="the one that made the maps",
    ),
    "report_open_network": Tip(
        "Open a model file: .safetensors (with card), .pt, .pth, .th, .ckpt or .pt2. Nothing in a "
        "file is executed."
    ),
    "report_architecture": Tip(
        "What weights without a card belong to, such as resnet50 or a timm name.",
        default="found from the weights",
    ),
    "report_units": Tip(
        "About how many slices the network is asked, evenly spread over those in which the "
        "explained class is predicted. Time grows with it.",
        default="8",
    ),
    "report_run": Tip("Make the report in the background; the one before it stays until then."),
    "report_cancel": Tip("Stop after the map, or the slice, that is being looked at."),
    # The result
    "filter_level": Tip(
        "Rows about slices (unit), the whole image (subject), classes, or all together (cohort)."
    ),
    "filter_metric": Tip("Rows of one metric; docs/reports.md defines each."),
    "filter_map": Tip("Rows of one map."),
    "filter_threshold_a": Tip("Rows at one threshold."),
    "report_table": Tip(
        "Click a title to sort. Click a row, or walk with the arrow keys: the viewer goes to the "
        "slice and shows the two masks that were compared."
    ),
    "matrix_what": Tip("What the matrix shows. Click a cell to see its masks."),
    "curves_what": Tip("What the curves show. Click a point to see the masks at its threshold."),
    "figure_what": Tip("The figures of the report, as they are saved."),
    "report_notes": Tip("What is to be known before the numbers."),
    "report_text": Tip("The report as text."),
    "copy_rows": Tip(
        "Copy the selected rows, or all that are shown where one or none is selected, with tabs "
        "between the columns, for a spreadsheet."
    ),
    "save_report": Tip(
        "Write table.csv, report.html, report.json and all figures (SVG, PDF, PNG) into a folder; "
        "files that are there already are asked about first."
    ),
    "replace_files": Tip("Replace the files of the report that are there already."),
    "add_arrays": Tip(
        "Add the report's maps as layers: consensus and disagreement, or where each map is right "
        "and wrong."
    ),
}
"""By the control's object name."""

take_table(REPORT_TOOLTIPS)
