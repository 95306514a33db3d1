"""How a number, a table or a figure travels from a cell to a sentence of the book; nothing here is science."""
