"""The statistics of the reports: what respects dependence, beside what the papers published."""

from napari_cam.statistics.bootstrap import (
    cluster_bootstrap,
    interval_of,
    mean_of,
    of_rows,
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
from napari_cam.statistics.intervals import (
    Interval,
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
    "benjamini_hochberg",
    "check_confidence",
    "check_seed",
    "cluster_bootstrap",
    "correlate",
    "correlate_within",
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
    "ratio_of",
    "resampled",
    "shapiro_wilk",
    "spearman_of",
    "stars",
    "subject_means",
    "t_interval",
    "wilson_proportion",
]
