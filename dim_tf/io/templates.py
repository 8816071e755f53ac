"""Jinja2 templates: `templates/*.j2` of a package."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2


def render(package: str, name: str, /, **values: Any) -> str:
    """Fills in a template. Values in `*.html.j2` are escaped; an unknown name is an error.

    Args:
        package: str. The package whose folder `templates` holds the template.
        name: str. The file.
        values: The names that the template uses.
    """
    return _environment(package).get_template(name).render(values)


@functools.cache
def _environment(package: str) -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader(package),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
