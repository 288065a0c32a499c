"""The published definitions, one image, channel and pixel at a time: (H, W) or (H, W, C) float64 in [0, 1]."""

import math

import numpy as np
from scipy import ndimage


def diamond_square(size, decay, draw):
    """Clouds on a torus: each midpoint is the mean of four neighbors and a random part."""
    field = np.zeros((size, size))
    step, wobble = size, 100.0
    while step >= 2:
        half, points = step // 2, size // step
        moves = [wobble**2 * draw(points, points) for _ in range(3)]
        for i in range(points):
            for j in range(points):
                y, x = i * step, j * step
                around = field[y, x] + field[(y + step) % size, x] + field[y, (x + step) % size]
                field[y + half, x + half] = (around + field[(y + step) % size, (x + step) % size]) / 4 + moves[0][i, j]
        for i in range(points):
            for j in range(points):
                y, x = i * step, j * step
                own, here = field[y + half, x + half], field[y, x]
                above, left = field[(y - half) % size, x + half], field[y + half, (x - half) % size]
                field[y, x + half] = (own + above + here + field[y, (x + step) % size]) / 4 + moves[1][i, j]
                field[y + half, x] = (own + left + here + field[(y + step) % size, x]) / 4 + moves[2][i, j]
        step, wobble = half, wobble / decay
    field -= field.min()
    return field / field.max()


def exchanged(image, down, right, reach):
    """The loop of the glass blur, in place, as it runs in the published code (a view overwrites its own exchange)."""
    image = image.copy()
    height, width = image.shape[:2]
    for h in range(height - reach, reach, -1):
        for w in range(width - reach, reach, -1):
            dy, dx = down[h - reach - 1, w - reach - 1], right[h - reach - 1, w - reach - 1]
            image[h, w], image[h + dy, w + dx] = image[h + dy, w + dx], image[h, w]
    return image


def motion(image, radius, deviation, degrees):
    """ImageMagick's motion blur of a gray image (H, W): a mean of pixels along a line, by a half Gaussian."""
    height, width = image.shape
    taps = 2 * math.ceil(radius) + 1
    weights = [math.exp(-(i**2) / (2 * deviation**2)) for i in range(taps)]
    angle, blurred = math.radians(degrees), np.zeros_like(image)
    for y in range(height):
        for x in range(width):
            for i, weight in enumerate(weights):
                there = x + math.ceil(i * math.cos(angle) - 0.5), y + math.ceil(i * math.sin(angle) - 0.5)
                column, row = min(max(there[0], 0), width - 1), min(max(there[1], 0), height - 1)
                blurred[y, x] += weight / sum(weights) * image[row, column]
    return blurred


def clipped_zoom(image, factor):
    """The center of a square image (H, H, C), zoomed bilinearly and cut to its size."""
    side = len(image)
    part = int(np.ceil(side / factor))
    top = (side - part) // 2
    zoomed = ndimage.zoom(image[top : top + part, top : top + part], (factor, factor, 1), order=1)
    trim = (len(zoomed) - side) // 2
    return zoomed[trim : trim + side, trim : trim + side]


def zoom_blur(image, factors):
    return (image + sum(clipped_zoom(image, factor) for factor in factors)) / (len(factors) + 1)


def elastic(image, moved, points, across, down, smoothness, strength):
    """A square image (H, H, C): an affine map of three points (x, y), then smooth displacements."""
    matrix = np.linalg.solve(np.column_stack((moved, np.ones(3))), points).T  # from a new place to the old one, (2, 3)
    swapped = matrix[::-1, [1, 0]]  # (row, column) instead of (x, y)
    dx, dy = (
        strength * ndimage.gaussian_filter(noise, smoothness, mode="reflect", truncate=3) for noise in (across, down)
    )
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    result = []
    for channel in np.moveaxis(image, 2, 0):
        turned = ndimage.affine_transform(channel, swapped, offset=matrix[::-1, 2], order=1, mode="mirror")
        result.append(ndimage.map_coordinates(turned, (rows + dy, columns + dx), order=1, mode="reflect"))
    return np.stack(result, 2)
