"""ShowsItself: how a report shows itself in a browser and in a notebook. `Report` derives from it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from ._arrays import Array
from ._safe_text import cell, counted, table


class ShowsItself(Mapping[str, float]):
    """What `Report` derives its views from: a mapping of the names of losses to their values."""

    classes: int
    per_image: dict[str, Array]

    @property
    def per_class(self) -> dict[str, Array]:
        raise NotImplementedError

    def _class_names(self) -> list[str]:
        raise NotImplementedError

    def _repr_html_(self) -> str:
        """Return two tables for a notebook, which needs no library."""
        count = len(next(iter(self.per_image.values())))
        values = table(
            f"{counted(count, 'image')}, {counted(self.classes, 'class', 'classes')}",
            ["loss", "all images"],
            [[name, cell(value)] for name, value in self.items()],
        )
        columns = self.per_class
        rows = [[name, *(cell(columns[key][k]) for key in self)] for k, name in enumerate(self._class_names()[:MOST])]
        more = f" (the first {MOST})" if self.classes > MOST else ""
        return values + table(f"per class{more}", ["class", *self], rows)

    def to_html(self, *, title: str | None = None, command: str | None = None) -> str:
        """Return a page that shows the report in a browser: one file, which loads nothing.

        The page has the values of all images, of each class and of each image, their distributions, and the worst
        images. docs/report.md describes it.

        Parameters
        ----------
        title : str, default None
            The heading. None: the number of images and classes.
        command : str, default None
            The command that made the report, for the page.

        Returns
        -------
        str
            The HTML, for a file in UTF-8.

        Raises
        ------
        ImportError
            If jinja2 or Pillow is not installed.

        See Also
        --------
        evaluate_files : Keeps pictures of the worst images for the page, with `examples=`.

        Examples
        --------
        >>> import fastloss as fl
        >>> page = fl.evaluate({"dice": fl.DiceLoss()}, [[[2.0, 0.0], [0.0, 1.0]]], [[0, 1]]).to_html()
        >>> page[:15]
        '<!doctype html>'
        """
        # This layer knows the one above only by its name.
        page: str = importlib.import_module(".report.page", __package__).report_page(self, title=title, command=command)
        return page


MOST = 50
"""The most classes that a notebook shows."""
