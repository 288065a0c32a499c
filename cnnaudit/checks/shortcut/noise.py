"""Does the model go by the sensor noise of the image?

The noise floor belongs to a camera, not to what it sees. The audit gives images of other classes the finest detail of
the class and counts how many predictions follow.
"""

from __future__ import annotations

from functools import partial

from cnnaudit.checks import CheckContext, check
from cnnaudit.checks.populations import ordinary
from cnnaudit.checks.shortcut import _global_plants as planted
from cnnaudit.checks.shortcut._global import REMEDY, STATISTIC, UNIT, claimed, judge_cue
from cnnaudit.core.findings import Finding


@check(
    question="Does the model go by the sensor noise of the image?",
    statistic=STATISTIC,
    unit=UNIT,
    direction="at_most",
    tolerance=0.15,
    gate=partial(claimed, "noise"),
    remedy=REMEDY.format("noise"),
    reference="Geirhos et al. (2020), Shortcut learning in deep neural networks",
    needs=("train", "validation"),
)
def noise(context: CheckContext) -> Finding:
    """Gain of the noise cue (all above a quarter of a cycle per pixel), in the worst class.

    There: AUC of a tree of 6 leaves, one class against the rest, on held-out images. Used: the gain, the share of
    images of other classes that take the class's label when given its cue, less the larger of two controls (the cue of
    another image of their own class; of a third class), on images that the AUC did not see; the interval is a bootstrap
    over recipients and donors. A class counts where the cue tells it (AUC beyond .8, beyond .7 where the file
    claims independence); else its gain counts as 0, so that there-but-unused and used-but-not-there are no failure.
    At quick all global cues share 400 forward passes; a class that they do not cover is not judged, which is no pass.

    Tolerance: that of `shortcut.compression`; of 179 clean targets no low bound is above 0, and 44 of the 50 stored
    pass, the others are undecided for want of recipients. All of ten plants fail.
    """
    return judge_cue(context, "noise")


PLANTS = planted.plants("noise", "sensor noise of .03 in one class of ten", planted.noisier)
POPULATIONS = [*ordinary(seeds=180)]
