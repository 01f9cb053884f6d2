"""A soak's curves as one SVG, drawn by hand so that nothing needs to be installed.

Pure: samples in, text out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from html import escape

from .measure import Sample

WIDTH, HEIGHT, LEFT, TOP, GAP = 860, 110, 70, 30, 40
FONT = 'font-family="sans-serif" font-size="12"'
POINTS = 600
"""About as many a curve as can be told apart."""
CURVES = {
    "pss_mib": "memory of all processes, PSS (MiB)",
    "own_pss_mib": "memory of the controller's process, PSS (MiB)",
    "descriptors": "descriptors of all processes",
    "own_descriptors": "descriptors of the controller's process",
    "threads": "threads of all processes",
    "shared_mib": "shared memory (MiB)",
    "shared_files": "files in shared memory",
    "kills": "kills so far",
}


def draw(samples: Sequence[Sample], title: str) -> str:
    """Return an SVG with a curve for each measure; every axis begins at 0."""
    rows = [asdict(sample) for sample in samples[:: 1 + len(samples) // POINTS]]
    height = TOP + len(CURVES) * (HEIGHT + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + LEFT + 20} {height}" {FONT}>',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT}" y="18" font-size="14">{escape(title)}</text>',
    ]
    span = max([float(row["at_s"]) for row in rows], default=1.0) or 1.0
    for number, (measure, label) in enumerate(CURVES.items()):
        top = TOP + number * (HEIGHT + GAP) + 14
        values = [float(row[measure]) for row in rows]
        most = max(values, default=0.0) * 1.05 or 1.0
        points = " ".join(
            f"{LEFT + WIDTH * float(row['at_s']) / span:.1f},{top + HEIGHT * (1 - value / most):.1f}"
            for row, value in zip(rows, values, strict=True)
        )
        parts += [
            f'<text x="{LEFT}" y="{top - 4}">{escape(label)}</text>',
            f'<rect x="{LEFT}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#bbb"/>',
            f'<text x="{LEFT - 6}" y="{top + 10}" text-anchor="end">{most / 1.05:.4g}</text>',
            f'<text x="{LEFT - 6}" y="{top + HEIGHT}" text-anchor="end">0</text>',
            f'<polyline points="{points}" fill="none" stroke="#1f6fb4" stroke-width="1.5"/>',
        ]
    parts.append(f'<text x="{LEFT + WIDTH}" y="{height - 12}" text-anchor="end">{span:.0f} s</text></svg>')
    return "\n".join(parts) + "\n"
