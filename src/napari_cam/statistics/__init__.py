"""What numbers of few, dependent subjects allow to say: intervals, comparisons, folds by group.

NumPy and SciPy alone; every room above uses these and makes none of its own.
"""

from napari_cam.statistics.bootstrap import (
    cluster_bootstrap,
    interval_of,
    mean_of,
    of_rows,
    pooled_ratio,
    ratio_of,
    resampled,
)
from napari_cam.statistics.comparisons import (
    Comparison,
    Pairwise,
    friedman,
    kruskal_wallis,
    subject_means,
)
from napari_cam.statistics.correlation import (
    Correlation,
    correlate,
    correlate_within,
    pearson_of,
    spearman_of,
)
from napari_cam.statistics.folds import deal_groups, fill_folds, fold_of_groups
from napari_cam.statistics.intervals import (
    Interval,
    Proportion,
    check_confidence,
    check_seed,
    normal_proportion,
    t_interval,
    wilson_proportion,
)
from napari_cam.statistics.multiplicity import (
    benjamini_hochberg,
    holm,
    p_short,
    p_text,
    stars,
)
from napari_cam.statistics.normality import Normality, shapiro_wilk

__all__ = [
    "Comparison",
    "Correlation",
    "Interval",
    "Normality",
    "Pairwise",
    "Proportion",
    "benjamini_hochberg",
    "check_confidence",
    "check_seed",
    "cluster_bootstrap",
    "correlate",
    "correlate_within",
    "deal_groups",
    "fill_folds",
    "fold_of_groups",
    "friedman",
    "holm",
    "interval_of",
    "kruskal_wallis",
    "mean_of",
    "normal_proportion",
    "of_rows",
    "p_short",
    "p_text",
    "pearson_of",
    "pooled_ratio",
    "ratio_of",
    "resampled",
    "shapiro_wilk",
    "spearman_of",
    "stars",
    "subject_means",
    "t_interval",
    "wilson_proportion",
]
