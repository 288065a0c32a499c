"""Takes the pictures of the pages anew: python docs/make_pictures.py CHROMIUM (a headless browser).

It runs the demo into a temporary folder and photographs its pages, cut and with few colors so that they stay small.
Pictures of planted defects: docs/make_plant_pictures.py.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

PICTURES = Path(__file__).parent / "pictures"
#: Name, commands that write the page (from the demo's folder), the page, the size of the window, the part that is kept.
SHOTS = (
    ("report", (), "reports/tagged-circles/report.html", (900, 1500), 1180),
    ("overview", (), "reports/index.html", (900, 700), 520),
    ("cues", ("cues tagged-circles.toml",), "reports/tagged-circles/cues.html", (900, 1500), 1400),
    (
        "look",
        ("look validation[0] --audit-config tagged-circles.toml --report reports",),
        "reports/tagged-circles/look-*.html",
        (900, 1500),
        1400,
    ),
)


def main(browser: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _run(folder, "demo --output .")
        for shot, commands, page, size, height in SHOTS:
            for command in commands:
                _run(folder, command)
            taken = _photograph(browser, next(folder.glob(page)), size)
            kept = taken.crop((0, 0, size[0], height)).convert("P", palette=Image.Palette.ADAPTIVE, colors=64)
            kept.save(PICTURES / f"{shot}.png", optimize=True)
            print(f"{shot}.png: {(PICTURES / f'{shot}.png').stat().st_size // 1024} KiB")


def _run(folder: Path, command: str) -> None:
    subprocess.run([sys.executable, "-m", "cnnaudit", *command.split()], cwd=folder, check=True)


def _photograph(browser: str, page: Path, size: tuple[int, int]) -> Image.Image:
    picture = page.with_suffix(".png")
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--screenshot={picture}"]
    window = f"--window-size={size[0]},{size[1]}"
    subprocess.run([browser, *options, window, page.as_uri()], check=True, capture_output=True)
    return Image.open(io.BytesIO(picture.read_bytes()))


if __name__ == "__main__":
    main(sys.argv[1])
