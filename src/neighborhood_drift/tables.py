"""Tables for readers: a DataFrame shown as Markdown, which both routes of the paper and JupyterLab render."""

from __future__ import annotations

import pandas as pd

# A column's share of the page follows its longest cell between these numbers of characters, so that one long text
# does not squeeze the others.
NARROWEST, WIDEST = 6, 44


def minus(text: str) -> str:
    """Write a leading hyphen as the minus sign it stands for.

    >>> minus("-0.5"), minus("2e-07")
    ('−0.5', '2e-07')
    """
    return "−" + text[1:] if text.startswith("-") else text


class Table:
    """A DataFrame whose only rich form is Markdown (a text/html output would pull scripts into the paper).

    Parameters
    ----------
    frame : DataFrame
        One row a line; the index is not shown. Missing values show as a dash, underscores of column names as spaces.
        One without columns, as where there was nothing to measure, shows as "not available".
    digits : int or dict, default 3
        Decimals of the float columns; a dict gives them by column name.

    Examples
    --------
    >>> print(Table(pd.DataFrame({"k": [10], "overlap": [0.98765]}), digits=2).markdown)
    |   k |   overlap |
    |-------:|--------:|
    |  10 |      0.99 |
    """

    def __init__(self, frame: pd.DataFrame, digits: int | dict = 3):
        shown = frame.copy() if len(frame.columns) else pd.DataFrame({"": ["not available"]})
        floats = [column for column in shown if pd.api.types.is_float_dtype(shown[column])]
        for column in floats:
            places = digits.get(column, 3) if isinstance(digits, dict) else digits
            shown[column] = [minus(f"{value:,.{places}f}") if pd.notna(value) else "–" for value in shown[column]]
        integers = [column for column in shown if pd.api.types.is_integer_dtype(shown[column])]
        for column in integers:
            shown[column] = [f"{value:,}" if pd.notna(value) else "–" for value in shown[column]]
        align = ["right" if column in floats + integers else "left" for column in shown]
        shown.columns = [str(column).replace("_", " ") for column in shown]
        head, _, *rows = shown.to_markdown(index=False, disable_numparse=True, colalign=align).splitlines()
        widths = [min(max(map(len, [column, *shown[column].astype(str)]), default=0), WIDEST) for column in shown]
        rules = ["-" * (max(width, NARROWEST) + 1) for width in widths]
        rule = "|".join(rule + ":" if side == "right" else ":" + rule for rule, side in zip(rules, align, strict=True))
        self.markdown = "\n".join([head, f"|{rule}|", *rows])

    def _repr_markdown_(self) -> str:
        return self.markdown

    def __repr__(self) -> str:
        return self.markdown
