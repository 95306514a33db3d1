"""Numbers, tables and sentences of the pages of the book, a module a chapter; nothing here is science."""
