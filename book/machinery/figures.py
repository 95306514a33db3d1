"""What a figure of the site carries: its passport, names for its downloads, and a large view."""

import re

_FIGURE = re.compile(r'<figure class="[^"]*\brecorded\b[^"]*".*?</figure>', re.DOTALL)
_NUMBER = re.compile(r'<span class="caption-number">\w+\.? ?([\d.]+)')
_IMAGE = re.compile(r'(<img [^>]*?src="([^"]+)"[^>]*>)')
_DOWNLOAD = re.compile(r'download="" href="([^"]*?/([^"/]+)\.(\w+))"')


def passport(facts):
    """Return in words who drew a figure, which tests guard it and how its chapter was executed.

    Parameters
    ----------
    facts : dict
        "function", "tests" (a list), "seed" and "seconds", as `machinery.report.passports` has them.
    """
    said = [f"drawn by `{facts['function']}`"] if facts["function"] else []
    if facts["tests"]:
        more = f" and {len(facts['tests']) - 1} more" if len(facts["tests"]) > 1 else ""
        said.append(f"tested by `{facts['tests'][0]}`{more}")
    return "; ".join([*said, f"seed {facts['seed']}, chapter executed in {facts['seconds']:.0f} s"])


def finish(body):
    """Return the HTML of a page whose recorded figures open large and are downloaded under their numbers."""
    return _FIGURE.sub(lambda found: _finished(found[0]), body)


def _finished(figure):
    number = _NUMBER.search(figure)
    prefix = f"fig-{number[1].strip('.').replace('.', '-')}-" if number else ""
    figure = _IMAGE.sub(r'<a class="enlarge" href="\2">\1</a>', figure, count=1)
    return _DOWNLOAD.sub(lambda found: f'download="{prefix}{found[2]}.{found[3]}" href="{found[1]}"', figure)
