"""Does the model go by the compression of the image?

A class saved with another JPEG quality lacks the fine detail of its blocks. The audit gives images of other classes the
blocks' fine coefficients of the class and counts how many predictions follow.
"""

from __future__ import annotations

from functools import partial

from cnnaudit.checks import CheckContext, check
from cnnaudit.checks.populations import ordinary
from cnnaudit.checks.shortcut import _global_plants as planted
from cnnaudit.checks.shortcut._global import REMEDY, STATISTIC, UNIT, claimed, judge_cue
from cnnaudit.core.findings import Finding


@check(
    question="Does the model go by the compression of the image?",
    statistic=STATISTIC,
    unit=UNIT,
    direction="at_most",
    tolerance=0.15,
    gate=partial(claimed, "compression"),
    remedy=REMEDY.format("file format and quality"),
    reference="Geirhos et al. (2020), Shortcut learning in deep neural networks",
    needs=("train", "validation"),
)
def compression(context: CheckContext) -> Finding:
    """Gain of the compression cue (fine cosine coefficients of 8 x 8 blocks), in the worst class.

    Both are asked of the images as they are fed: after a resize, little of a file's blocks is left.

    There: AUC of a tree of 6 leaves, one class against the rest, on held-out images. Used: the gain, the share of
    images of other classes that take the class's label when given its cue, less the larger of two controls (the cue of
    another image of their own class; of a third class), on images that the AUC did not see; the interval is a bootstrap
    over recipients and donors. A class counts where the cue tells it (AUC beyond .8, beyond .7 where the file
    claims independence); else its gain counts as 0, so that there-but-unused and used-but-not-there are no failure.
    At quick all global cues share 400 forward passes; a class that they do not cover is not judged, which is no pass.

    Tolerance: twice the largest low bound of 179 clean targets, .07 (0 of the 50 stored). A nuisance is nobody's
    honest content, so that less is tolerated than of color and tone; at their .3 one of ten plants, which .43 of the
    images follow, stayed undecided at quick.
    """
    return judge_cue(context, "compression")


PLANTS = planted.plants("compression", "one class of ten saved as JPEG of quality 20", planted.recompressed)
POPULATIONS = [*ordinary(seeds=180)]
