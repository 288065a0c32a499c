"""Does the strongest pixel lie at the border more often than the images' content explains?

Maximum pooling passes on the strongest pixel only. Where padding makes that pixel, it hides the content. The same
weights with replicate padding say how often the content itself is strongest at the border.
"""

from __future__ import annotations

from functools import partial

from cnnaudit.checks import CheckContext, Plant, Population, check
from cnnaudit.checks.padding._layer_calls import require_padded_layers, require_responses
from cnnaudit.checks.padding._sample import affordable, batch_size, interval_over_images, some
from cnnaudit.checks.padding._small_networks import edge_network, resnet_geometry
from cnnaudit.checks.padding._sources import THESIS, USE_REPLICATE
from cnnaudit.checks.small_targets import trained
from cnnaudit.core.findings import Finding


@check(
    question="Does the strongest pixel lie at the border more often than the images' content explains?",
    statistic="share of maxima in the border ring over background, beyond replicate padding, worst layer",
    unit="share of maxima",
    direction="at_most",
    tolerance=0.05,
    gate=False,
    remedy=USE_REPLICATE,
    reference=THESIS,
    needs=("validation", "inside"),
)
def border_maximum(context: CheckContext) -> Finding:
    """Share of quadrant maxima that lie in the outermost ring over background, less the same under replicate padding.

    Per layer, sum over images of (won - won under replicate padding) / sum over images of live quadrants (see
    `border_maxima`); the worst layer is the statistic, its interval a bootstrap over images of that maximum. The same
    weights under replicate padding are the counterfactual that holds content and ring area fixed, and give 0 by
    construction to networks trained so. Tolerance: the 99 % point of the clean populations is .010 (circular padding),
    and the interval of 500 images reaches up to .04 beyond: .05. (Not clean in this sense: reflect and circular padding
    in deep networks, which repeat or import content at the border; untrained they measure .03 and .04 in the median.)
    """
    from cnnaudit.checks.padding._border_maxima import border_maxima
    from cnnaudit.checks.padding._layer_figures import (
        layer_bars,
        layer_locations,
        map_figure,
        marked_images,
        peak_pixel,
    )

    target = context.target
    layers = require_padded_layers(context)
    images = context.sample("validation")[0]
    images = images[some(context, len(images), affordable(context, 64))]
    measured = border_maxima(target.model, images, layers, batch_size=batch_size(target), device=target.device)
    require_responses(measured.live)
    excess = measured.excess()
    index = int(excess.argmax())
    worst, live = measured.layers[index], measured.live[:, index].sum()
    own, replicate = (part[:, index].sum() / live for part in (measured.won, measured.won_replicate))
    heat = measured.maps[worst]
    return context.judge(
        float(excess.max()),
        interval_over_images(context, len(images), lambda rows: float(measured.excess(rows).max()), (-1, 1)),
        n=len(images),
        summary=f"In layer {worst} the strongest pixel of a quadrant lies in the border ring over background in "
        f"{own:.1%} of the cases, with replicate padding in {replicate:.1%}; the ring is "
        f"{measured.ring_share[index]:.1%} of the map.",
        locations=layer_locations(measured.layers, excess, {worst: peak_pixel(heat)}),
        evidence=[
            map_figure(f"Where the border's maxima lie: {worst}", heat, "maxima per image"),
            *layer_bars(
                "Maxima at the border, by layer", measured.layers, excess, "beyond replicate", context.tolerance
            ),
            *marked_images("Strongest pixel at the border", images, measured.pixels[:, index], heat.shape),
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
