"""Does the border of an empty image excite a layer where its middle does not?

Zeros beyond a white border are an edge that the image does not have. On images of pure background nothing should
respond; what does is caused by padding alone.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from cnnaudit.checks import CheckContext, Plant, Population, check
from cnnaudit.checks.padding._layer_calls import require_padded_layers, require_responses
from cnnaudit.checks.padding._sample import affordable, batch_size, interval_over_images, some
from cnnaudit.checks.padding._small_networks import edge_network, resnet_geometry
from cnnaudit.checks.padding._sources import THESIS, USE_REPLICATE
from cnnaudit.checks.small_targets import trained
from cnnaudit.core.findings import Finding


@check(
    question="Does the border of an empty image excite a layer where its middle does not?",
    statistic="response of an empty image's border / peak response to the images, worst layer",
    unit="share of the peak response",
    direction="at_most",
    tolerance=0.05,
    gate=False,
    remedy=USE_REPLICATE,
    reference=THESIS,
    needs=("validation", "inside"),
)
def border_response(context: CheckContext) -> Finding:
    """Response that padding alone causes on images of pure background, in units of what the images excite.

    Per layer, sum over images of `excess` / sum over images of `peak` (see `border_response`), each
    image with its own background color; the worst layer is the statistic. The interval is a bootstrap over images of
    that maximum. Under replicate, reflect and circular padding a constant image stays constant, so the statistic is 0
    by construction and the null is degenerate: the tolerance is a policy, a twentieth of the peak.
    """
    from cnnaudit.checks.padding._border_response import border_response
    from cnnaudit.checks.padding._layer_figures import layer_bars, layer_locations, map_figure, peak_pixel

    target = context.target
    layers = require_padded_layers(context)
    images = context.sample("validation")[0]
    images = images[some(context, len(images), affordable(context, 32))]
    measured = border_response(target.model, images, layers, batch_size=batch_size(target), device=target.device)
    require_responses(measured.peak)
    shares = measured.shares()
    worst = measured.layers[int(shares.argmax())]
    heat = measured.maps[worst]
    return context.judge(
        float(shares.max()),
        interval_over_images(context, len(images), lambda rows: float(measured.shares(rows).max()), (0, np.inf)),
        n=len(images),
        summary=f"On empty images of the data's own background colors, padding excites the border of layer {worst} "
        f"to {shares.max():.0%} of the peak that the images excite there.",
        locations=layer_locations(measured.layers, shares, {worst: peak_pixel(heat)}),
        evidence=[
            map_figure(f"Response that padding causes on empty images: {worst}", heat, "mean activation"),
            *layer_bars("Border response by layer", measured.layers, shares, "share of the peak", context.tolerance),
        ],
    )


PLANTS = [
    Plant(
        "edge filters behind zero padding, on white backgrounds",
        partial(edge_network, padding_mode="zeros"),
        partial(edge_network, padding_mode="replicate"),
    ),
]


POPULATIONS = [
    Population("dataset 3.0, trained with replicate padding", partial(trained, padding_mode="replicate"), 20),
    Population("dataset 3.0, trained with reflect padding", partial(trained, padding_mode="reflect"), 20),
    Population("dataset 3.0, trained with circular padding", partial(trained, padding_mode="circular"), 20),
    Population(
        "untrained strided layers of a ResNet, replicate padding",
        partial(resnet_geometry, size=65, padding_mode="replicate"),
        20,
    ),
]
