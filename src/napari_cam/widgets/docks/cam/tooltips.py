"""What every control of the dock "CAM" does, with its unit and default."""

from __future__ import annotations

from napari_cam.widgets.controls.tooltips import Tip, take_table

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
        "How evidence becomes a map; tick several to compare them. One forward pass serves all but "
        "the slow ones, which run the network many times.",
        default="the method named in Preferences (Grad-CAM)",
    ),
    "class": Tip(
        "The class whose evidence is shown. 'predicted' explains each slice's own winner, so "
        "neighbouring slices may show different classes.",
        default="predicted",
    ),
    "region": Tip(
        "The pixels whose summed score is explained. 'Predicted' means argmax; a component is a "
        "connected part of that, in 2D within its slice.",
        default="where the class is predicted",
    ),
    "region_probability": Tip(
        "The class's probability that a pixel must exceed.", unit="0 to 1", default="0.5"
    ),
    "region_paint": Tip(
        "Add a labels layer on the image's grid, or take the one that was added, and paint into "
        "it: the pixels of the label chosen above are explained, as they were when a run began."
    ),
    "region_layer": Tip(
        "The labels layer; it must lie on the image's own grid.", default="the first one"
    ),
    "region_label": Tip("Which label of the layer, slice by slice.", default="1"),
    "region_click": Tip(
        "Take the next click into the image as the point; Esc, or this button, takes none."
    ),
    "region_size": Tip("How many pixels of the network's output were explained.", unit="pixels"),
    "layers": Tip(
        "The layer whose maps are weighed: later layers know more about classes, earlier ones "
        "see finer. Resolution in map pixels, stride in input pixels per map pixel; of the levels "
        "0 has the finest maps. Select several for separate heatmaps.",
        default="the card's layer, else what enters global pooling, or the bottleneck",
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
    "follow": Tip(
        "Explain the slice on screen whenever pixel set, class, method, layer or slice change, "
        "into layers of their own called 'explore'. Older choices are dropped.",
        default="on with a segmentation network of slices, else off",
    ),
    "compare_methods": Tip(
        "Run the ticked methods and show their heatmaps side by side in napari's grid, each over "
        "its image, with one scale of colours."
    ),
    "all_levels": Tip(
        "Run one layer of each level of a segmentation network, from the encoder over the "
        "bottleneck to the decoder, and show the heatmaps side by side; a row for each method."
    ),
    "compare_scope": Tip("What is run for a comparison.", default="this slice"),
    "leave_grid": Tip("Show the layers as they were before, in one picture."),
    "cancel": Tip("Stop after the slices that are being computed; finished ones stay."),
    "previous": Tip("Go to the previous slice whose map holds evidence."),
    "next": Tip("Go to the next slice whose map holds evidence."),
    "scores": Tip(
        "What the network says about the slice on screen. Follows the slider.",
        unit="score before softmax, and probability in %; of a segmentation network the share of "
        "the slice in which each class is predicted, in %",
    ),
    "heatmap": Tip("The heatmap to cut: made here, or opened from a file.", default="the latest"),
    "rule": Tip(
        "How the cut is chosen: stated (a fixed value, n / 255), so that a share of the pixels "
        "lies above (quantile, share), between two heaps of values (Otsu, Li, triangle, Yen), or "
        "for each pixel from those around it.",
        default="fixed value",
    ),
    "scope": Tip(
        "Whose values the cut is taken from: each slice's own, or the whole volume's.",
        default="each slice",
    ),
    "cut": Tip(
        "Fixed and n / 255: the heatmap value above which a pixel belongs to the mask. Quantile: "
        "the share of pixels that stay below the cut. Share: the part that stays above. Radius: "
        "how far around each pixel Otsu's cut is taken from.",
        unit="0 to 1; 0 to 255; of a radius mm (pixels without voxel size)",
        default="0.5 (n / 255: 200, quantile: 0.9, share: 0.1, radius: 15)",
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
    "foreground": Tip(
        "Where the mask may lie, and whose values the rule looks at: everywhere, in the tissue "
        "that the image shows, or in what is not 0 in a labels layer on the image's own grid.",
        default="everywhere",
    ),
    "clean_up": Tip("What is done to the mask after the cut, in the order in which it stands."),
    "clean_per": Tip(
        "Whether openings, closings, holes and pieces are those of the whole volume in 3D, or of "
        "each slice by itself. With the whole volume the slice on screen waits for it.",
        default="the whole volume",
    ),
    "opening": Tip(
        "Takes away what a ball of this radius does not fit into: specks, thin bridges.",
        unit="mm (pixels without voxel size)",
        default="none",
    ),
    "closing": Tip(
        "Fills gaps that a ball of this radius does not fit into.",
        unit="mm (pixels without voxel size)",
        default="none",
    ),
    "fill_holes": Tip("Fill what the mask encloses on all sides.", default="off"),
    "smallest": Tip(
        "The smallest connected piece that stays.",
        unit="mm³, of slices mm² (pixels without voxel size)",
        default="none",
    ),
    "largest_only": Tip(
        "Keep the largest connected piece alone, of equals the first.", default="off"
    ),
    "reference": Tip(
        "Labels to compare the mask with, such as somebody's outline: a labels layer on the "
        "image's own grid.",
        default="none",
    ),
    "reference_labels": Tip(
        "Which labels of the reference count, with commas between them; empty for all but 0."
    ),
    "size": Tip(
        "What the mask covers: its share of what the network saw, its connected pieces (over "
        "faces), its volume, and its overlap with the reference where the network looked. The "
        "slice on screen at once, the whole as soon as slider or brush rest; n/a is undefined.",
        unit="% and mL (pixels without voxel size); IoU and Dice from 0 to 1",
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

take_table(TOOLTIPS)
