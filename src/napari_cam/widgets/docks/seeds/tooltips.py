"""What every control of the dock "Seeds" does, with its unit and default, and its keys."""

from __future__ import annotations

from collections.abc import Mapping

from napari_cam.widgets.controls.tooltips import Tip, take_table

KEYS: Mapping[str, str] = {
    "previous_class": "Shift+F2",
    "next_class": "Shift+F3",
    "reviewed": "Shift+F4",
    "commit": "Shift+F6",
    "previous_disagreement": "Shift+F7",
    "next_disagreement": "Shift+F8",
}
"""Action -> key. The CAM dock has the function keys without Shift."""

SEEDS_TOOLTIPS: dict[str, Tip] = {
    "seeds_image": Tip(
        "The image that is annotated. Layers that do not lie on its voxels are not offered.",
        default="the active image",
    ),
    # Step 1
    "members": Tip(
        "Heatmaps, masks and labels of this image; ticked ones are the members of the ensemble. "
        "Of labels everything but 0 counts, of seeds the classes.",
        default="none",
    ),
    "operator": Tip(
        "How the members become one. Smallest and largest choose one member for each slice, ties "
        "go to the first; STAPLE weighs members by how well they agree with all others.",
        default="or",
    ),
    "member_rule": Tip(
        "How ticked heatmaps are cut into masks, each slice for itself. Masks stay as they are.",
        default="fixed",
    ),
    "member_cut": Tip(
        "A heatmap's voxel is in where its value exceeds this; for a quantile the share of voxels "
        "that stay out.",
        unit="share of 1",
        default="0.5",
    ),
    "make_ensemble": Tip(
        "Add the ensemble as a layer. It follows these controls until somebody paints into it."
    ),
    "make_consensus": Tip(
        "Add two layers: the share of members that vote for each voxel, and their spread, which "
        "is 4 x share x (1 - share): 0 where all agree, 1 where half are against."
    ),
    # Step 2
    "centred": Tip("Only inside a box around the middle of the image.", default="off"),
    "centred_z": Tip("Size of the box along z.", unit="% of the image", default="100"),
    "centred_y": Tip("Size of the box along y.", unit="% of the image", default="100"),
    "centred_x": Tip("Size of the box along x.", unit="% of the image", default="100"),
    "tissue": Tip("Only where there is tissue, not air.", default="off"),
    "tissue_method": Tip("How tissue is told from air.", default="k-means"),
    "band": Tip(
        "Leave out a band along a straight line in each slice, as along the mid-line of a brain.",
        default="off",
    ),
    "band_width": Tip("How wide the band is.", unit="mm (px without a voxel size)", default="10"),
    "band_position": Tip(
        "How far the line lies from the middle of the slice.",
        unit="mm (px without a voxel size)",
        default="0",
    ),
    "band_angle": Tip(
        "Direction of the line: 0 is horizontal on screen, 90 vertical.",
        unit="degrees",
        default="90",
    ),
    "drawn": Tip(
        "Only inside shapes of a Shapes layer: polygons, rectangles and ellipses.", default="off"
    ),
    "shapes": Tip("The Shapes layer whose shapes count.", default="the first one"),
    "draw_shape": Tip(
        "Add a Shapes layer on the image and take the polygon tool; double click or Enter ends a "
        "shape."
    ),
    "all_slices": Tip(
        "A shape holds for all slices; else only for the slice that it was drawn in.", default="on"
    ),
    "box_labelled": Tip(
        "Only where a labels layer is not 0 (of seeds: where it has a class).", default="off"
    ),
    "box_labels": Tip("The labels layer that restricts proposals.", default="the first one"),
    "box_outside": Tip(
        "What seeds are outside of the box: left unlabelled, or background.", default="unlabelled"
    ),
    # Step 3
    "seeds_layer": Tip(
        "The layer that commits go to. A labels layer that is chosen here counts as painted by a "
        "person, unless its record says which of it came from a CAM.",
        default="a new layer, or the saved seeds that are open",
    ),
    "classes": Tip(
        "The classes: a double click edits the name or the colour. The chosen row is the class "
        "that heatmaps are ticked for and that the brush paints. Label 0 is unlabelled.",
        default="the classes that the heatmaps explain",
    ),
    "add_class": Tip("Add a class with the next free label and colour."),
    "remove_class": Tip("Remove the chosen class; none of its voxels may be left."),
    "import_classes": Tip("Read the classes of a table (CSV) with columns code, name, colour."),
    "export_classes": Tip("Write the classes as a table (CSV) with columns code, name, colour."),
    "class_heatmaps": Tip(
        "Heatmaps that say where the chosen class is. Several must agree on a voxel.",
        default="those that explain the class",
    ),
    "proposal": Tip(
        "What is committed: seeds of the heatmaps with two cuts, or a mask as the chosen class.",
        default="the heatmaps",
    ),
    "high_cut": Tip("Above this a voxel becomes the class.", unit="share of 1", default="0.6"),
    "low_cut": Tip(
        "Where all classes lie below this a voxel becomes background; between the cuts it stays "
        "unlabelled, for training to ignore.",
        unit="share of 1",
        default="0.2",
    ),
    "conflict": Tip(
        "What becomes of a voxel where several classes lie above the high cut.",
        default="leave unlabelled",
    ),
    "seeds_normalize": Tip(
        "Over what heatmaps are stretched to 0 to 1 first. Over the whole volume, a slice with "
        "little evidence gets few seeds.",
        default="the whole volume",
    ),
    "seeds_gate": Tip(
        "No seeds of a class in slices for which the network predicts another one.", default="on"
    ),
    "preview_seeds": Tip(
        "Add the proposal as a layer of its own, which follows these controls. Nothing is written "
        "into the seeds."
    ),
    "commit_mode": Tip(
        "What a commit may change. Voxels that a person painted or erased, and slices that are "
        "ticked as reviewed, stay in every mode.",
        default="replace all else",
    ),
    "slice_only": Tip("Commit the slice on screen only.", default="off"),
    "commit": Tip("Write the proposal into the seeds layer, as one step that Ctrl+Z takes back."),
    # Step 4
    "paint_seeds": Tip("Choose the seeds layer and take the brush, with the active class."),
    "previous_class": Tip("Paint with the previous class of the list."),
    "next_class": Tip("Paint with the next class of the list."),
    "brush_radius": Tip(
        "How far the brush reaches from its middle; it paints whole voxels, so that the nearest "
        "size is taken. The brush is round in mm where the layer knows its voxel size.",
        unit="mm (px without a voxel size)",
    ),
    "disagreement": Tip(
        "Whose disagreement the next two buttons look for: that of the members ticked in step 1, "
        "or of seeds and preview, where both say something.",
        default="the members",
    ),
    "previous_disagreement": Tip("Go to the previous slice with disagreement."),
    "next_disagreement": Tip("Go to the next slice with disagreement."),
    "reviewed": Tip(
        "A person has looked at this slice and is content. Commits leave it alone from then on; "
        "the tick is saved with the seeds.",
        default="off",
    ),
    "next_open": Tip("Go to the next slice that is not ticked as reviewed."),
    # Step 5
    "export_what": Tip(
        "The seeds, or a heatmap (as a fractional DICOM segmentation).", default="the seeds"
    ),
    "export_format": Tip(
        "On the image's own grid: NIfTI (.nii.gz), TIFF, 3D Slicer (.seg.nrrd), DICOM "
        "segmentation; or a case of an nnU-Net dataset. A .json beside it says how it was made, "
        "without the patient's identity.",
        default="NIfTI",
    ),
    "nnunet_codes": Tip(
        "Number the labels as nnU-Net does: 0 background, 1 and up the classes, the last one "
        "ignore. Such a file does not remember what was painted by hand.",
        default="off: 0 unlabelled, 1 background, 2 and up the classes",
    ),
    "series_description": Tip(
        "Title of the segmentation in DICOM viewers.", default="napari-cam segmentation"
    ),
    "creator": Tip(
        "Who made it, as DICOM writes names (Doe^Jane). It stands in the file.", default="nobody"
    ),
    "segment_codes": Tip(
        "For each class its name in the file, its category and its type, as VALUE,SCHEME,MEANING.",
        default="a lesion",
    ),
    "dataset_id": Tip("Number of the nnU-Net dataset: Dataset001_Name.", default="1"),
    "dataset_name": Tip("Name of the nnU-Net dataset, letters and digits.", default="Seeds"),
    "case_name": Tip("Name of this case in the dataset; never the patient's.", default="case_001"),
    "channel_name": Tip(
        "What the image's channel is called in dataset.json, such as MRI or CT (CT is normalised "
        "in its own way).",
        default="image",
    ),
    "export": Tip("Ask where, and write in the background; existing files are asked about first."),
}
"""By the control's object name."""

take_table(SEEDS_TOOLTIPS)
