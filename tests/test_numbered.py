"""References by number are resolved as Sphinx does it, each page being read once."""

from machinery.numbered import NumberedReferences
from sphinx.domains.std import StandardDomain


class Environment:
    """What is asked of Sphinx's environment."""

    def __init__(self):
        self.read = []

    def get_doctree(self, name):
        self.read.append(name)
        return f"page {name}"


def test_a_page_is_read_once_for_all_references_by_number_to_it(monkeypatch):
    monkeypatch.setattr(StandardDomain, "resolve_xref", lambda self, env, *given: (env.get_doctree(given[3]), given[2]))
    monkeypatch.setattr(StandardDomain, "__init__", lambda self, env: None)
    environment = Environment()
    domain = NumberedReferences(environment)

    def resolve(kind, page):
        return domain.resolve_xref(environment, "here", None, kind, page, None, None)

    assert [resolve("numref", page) for page in "aab"] == [(f"page {page}", "numref") for page in "aab"]
    assert environment.read == ["a", "b"]
    # Other kinds find the environment as it was.
    assert resolve("ref", "a") == ("page a", "ref")
    assert environment.read == ["a", "b", "a"]
