"""References to figures, tables and sections by their number."""

from sphinx.domains.std import StandardDomain


class NumberedReferences(StandardDomain):
    """The standard domain, which reads a page once for all references by number to it, and not anew for each.

    References are resolved when all pages are written down, so that what was read does not change any more.
    """

    def __init__(self, env):
        super().__init__(env)
        self._pages = {}

    def resolve_xref(self, env, fromdocname, builder, typ, target, node, contnode):
        """Return the reference as Sphinx resolves it."""
        read = env.get_doctree

        def read_once(name):
            if name not in self._pages:
                self._pages[name] = read(name)
            return self._pages[name]

        if typ == "numref":
            env.get_doctree = read_once
        try:
            return super().resolve_xref(env, fromdocname, builder, typ, target, node, contnode)
        finally:
            vars(env).pop("get_doctree", None)
