"""docs/performance.svg: how many times each goal is reached, on a logarithmic axis. Plain text in, plain text out."""

import html
import math

LEFT, RIGHT, TOP, ROW, WIDTH = 260, 110, 34, 19, 800
GOOD, BAD, INK, GRID = "#2e7d32", "#c62828", "#333333", "#dddddd"
RANGE = (1 / 4, 16)  # widened where a figure lies beyond
TICKS = [1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8, 16, 32, 64, 128, 256]


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def draw(figures):
    """One line for each figure: `row`, `what`, `value`, `goal`, `times_goal` (1 or more: reached)."""
    if not figures:
        return '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>\n'
    figures = sorted(figures, key=lambda figure: figure["row"])
    values = [min(max(figure["times_goal"], TICKS[0]), TICKS[-1]) for figure in figures]
    low, high = min(RANGE[0], *values), max(RANGE[1], *values)
    height = TOP + ROW * len(figures) + 30

    def x(value):
        share = math.log(value / low) / math.log(high / low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
             'font-family="sans-serif" font-size="12">', f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
             f'<text x="{LEFT}" y="16" fill="{INK}">times the goal: right of the line it is reached</text>',
             f'<text x="{WIDTH - RIGHT + 8}" y="16" fill="{INK}">measured / goal</text>']
    for tick in TICKS:
        if low <= tick <= high:
            label = f"{tick:g}" if tick >= 1 else f"1/{1 / tick:g}"
            stroke = f'stroke="{INK}" stroke-width="1.5"' if tick == 1 else f'stroke="{GRID}"'
            parts.append(f'<line x1="{x(tick):.1f}" y1="{TOP - 8}" x2="{x(tick):.1f}" y2="{height - 24}" {stroke}/>')
            parts.append(f'<text x="{x(tick):.1f}" y="{height - 8}" text-anchor="middle" fill="{INK}">{label}</text>')
    for index, (figure, value) in enumerate(zip(figures, values)):
        y = TOP + ROW * index + ROW / 2
        color = GOOD if figure["times_goal"] >= 1 else BAD
        parts.append(f'<text x="24" y="{y + 4:.1f}" text-anchor="end" fill="{INK}">{figure["row"]}</text>')
        parts.append(f'<text x="34" y="{y + 4:.1f}" fill="{INK}">{html.escape(figure["what"])}</text>')
        parts.append(f'<line x1="{x(1):.1f}" y1="{y:.1f}" x2="{x(value):.1f}" y2="{y:.1f}" stroke="{color}" stroke-width="6"/>')
        parts.append(f'<text x="{WIDTH - RIGHT + 8}" y="{y + 4:.1f}" fill="{color}">{number(figure["value"])} / '
                     f'{number(figure["goal"])}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
