"""Elements, ions and molecules by the names and codes that lists of lines give them."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from lux.survey import ELEMENTS

# Element or molecule, charge, isotopes such as "13C16O" ("" = all).
Species: TypeAlias = tuple[str, int, str]

ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X")
_SYMBOLS = tuple(symbol.capitalize() for symbol in ELEMENTS)
# ELEMENTS leaves out what no star shows beyond bismuth, 83.
_NUMBERED = {number: symbol for number, symbol in enumerate(_SYMBOLS[:83], start=1)} | {90: "Th", 92: "U"}
# Of molecules, by the atomic numbers in their codes.
_MOLECULES = {
    (1, 1): "H2", (1, 3): "LiH", (1, 6): "CH", (1, 7): "NH", (1, 8): "OH", (1, 9): "HF", (1, 11): "NaH",
    (1, 12): "MgH", (1, 13): "AlH", (1, 14): "SiH", (1, 16): "SH", (1, 17): "HCl", (1, 20): "CaH", (1, 22): "TiH",
    (1, 24): "CrH", (1, 25): "MnH", (1, 26): "FeH", (1, 27): "CoH", (1, 28): "NiH", (6, 6): "C2", (6, 7): "CN",
    (6, 8): "CO", (7, 7): "N2", (7, 8): "NO", (8, 8): "O2", (8, 12): "MgO", (8, 13): "AlO", (8, 14): "SiO",
    (8, 20): "CaO", (8, 21): "ScO", (8, 22): "TiO", (8, 23): "VO", (8, 39): "YO", (8, 40): "ZrO", (8, 57): "LaO",
    (1, 1, 8): "H2O", (1, 6, 7): "HCN", (6, 8, 8): "CO2",
}  # fmt: skip
_FORMULAS = {formula.upper(): formula for formula in _MOLECULES.values()}
_GLUED = re.compile(r"([A-Z][a-z]?)(I{1,3}|IV|V)")
_ATOM = re.compile(r"[A-Z][a-z]?")


def species_columns(species: Sequence[Species]) -> dict[str, np.ndarray]:
    """Return the columns "species", "element", "ion" and "isotope" of a `LineList`."""
    elements, ions, isotopes = (list(column) for column in zip(*species, strict=True)) if species else ([], [], [])
    names = [
        f"{element} {ROMAN[ion]}" if element in _SYMBOLS else element
        for element, ion in zip(elements, ions, strict=True)
    ]
    return {
        "species": np.array(names, str),
        "element": np.array(elements, str),
        "ion": np.array(ions, int),
        "isotope": np.array(isotopes, str),
    }


def has_stage(name: str) -> bool:
    """Whether a name says a stage of ionization, as "Fe 1", "Fe II" and "FeII" do."""
    return len(name.split()) > 1 or _glued(name.strip()) is not None


def named_species(names: Sequence[str], capitals: bool | None = None) -> list[Species | ValueError]:
    """Return the species of names such as "Fe 1", "Fe II", "FeII", "CO 1", "CN", "(48)TiO 1", or what is wrong.

    Where a list writes elements in `capitals`, "CO 1" is cobalt; else it is the molecule, as "CO" always is. By default
    it does if all names are in capitals and one of them can be nothing but an element.
    """
    in_capitals = _in_capitals(names) if capitals is None else capitals
    return _each(lambda name: _named(name, in_capitals), names)


def ionized_species(names: Sequence[str], ions: Sequence[str]) -> list[Species | ValueError]:
    """Return the species of elements and molecules with charges, of which 0 is neutral, or stages, of which "I" is."""
    stages = [ion.strip().upper() for ion in ions]
    charges = [ROMAN.index(each) if each in ROMAN else int(float(each)) if _is_charge(each) else -1 for each in stages]
    known = [
        int(float(each)) for name, each in zip(names, stages, strict=True) if _is_element(name) and _is_charge(each)
    ]
    species = named_species([f"{name} {charge + 1}" for name, charge in zip(names, charges, strict=True)])
    for row, (ion, charge) in enumerate(zip(ions, charges, strict=True)):
        if charge < 0:
            species[row] = ValueError(f"expected as ion a charge, 0 for neutral, or a stage such as 'II', got {ion!r}")
        elif known and min(known) > 0 and max(known) > 1:
            species[row] = ValueError(
                f"no ion is 0, which is neutral, and they go up to {max(known)}: subtract 1 if 1 is neutral, or give a "
                "column 'species' such as 'Fe II'"
            )
    return species


def _is_charge(text: str) -> bool:
    return bool(re.fullmatch(r"\d+(\.0*)?", text))


def _is_element(name: str) -> bool:
    return name.strip().capitalize() in _SYMBOLS


def _each(parse: Callable[[str], Species], texts: Iterable[str]) -> list[Species | ValueError]:
    species: list[Species | ValueError] = []
    for text in texts:
        try:
            species.append(parse(text))
        except ValueError as error:
            species.append(error)
    return species


def _in_capitals(names: Sequence[str]) -> bool:
    return all(name == name.upper() for name in names) and any(
        len(symbol) == 2 and _is_element(symbol) and symbol not in _FORMULAS and (stage or not _are_atoms(symbol))
        for name in set(names)
        for symbol, _, stage in [name.strip().partition(" ")]
    )


def _named(name: str, capitals: bool) -> Species:
    symbol, _, stage = name.strip().partition(" ")
    stage = stage.strip().upper()
    masses = re.findall(r"\((\d+)\)", symbol)
    isotope = re.sub(r"[()]", "", symbol) if masses else ""
    if masses:
        symbol = re.sub(r"([A-Z][a-z]?)\1", r"\g<1>2", re.sub(r"\(\d+\)", "", symbol))
    if not stage and (glued := _glued(symbol)):
        if capitals and _is_element(symbol):
            element, roman = glued
            raise ValueError(f"{name.strip()!r} is {element} {roman} or {symbol.capitalize()}: write one of these")
        symbol, stage = glued
    ion = int(stage) - 1 if stage.isdigit() else ROMAN.index(stage) if stage in ROMAN else 0 if not stage else -1
    found = _symbol(symbol, stage, ion, capitals)
    if not 0 <= ion < len(ROMAN) or not found:
        hint = f"; if it is {symbol.capitalize()}, write it so" * (_is_element(symbol) and 0 <= ion < len(ROMAN))
        raise ValueError(f"expected a species such as 'Fe 1', 'Eu II' or 'CN', got {name.strip()!r}{hint}")
    return found, ion, isotope


def _glued(name: str) -> tuple[str, str] | None:
    """Return the symbol and the stage of a name such as "FeII", "VI"."""
    match = _GLUED.fullmatch(name)
    return (match[1], match[2]) if match and match[1] in _SYMBOLS and name not in _FORMULAS else None


def _symbol(name: str, stage: str, ion: int, capitals: bool) -> str:
    """Return the symbol or formula that is meant by the first word of a name; empty if it is none."""
    if name in _SYMBOLS:
        return name
    element = name.capitalize() if _is_element(name) else ""
    if element and stage and (capitals or ion > 0):
        return element
    if name == name.upper() and name in _FORMULAS:
        return _FORMULAS[name]
    if name in _MOLECULES.values():
        return name
    return "" if _are_atoms(name) and not capitals else element


def _are_atoms(name: str) -> bool:
    """Whether a name in capitals can be that of a molecule, known here or not, as SI may be of sulfur and iodine."""
    return all(each in _SYMBOLS for each in name)


def coded_species(codes: Sequence[str], ion_digits: int) -> list[Species | ValueError]:
    """Return the species of codes, or what is wrong with each.

    Before the point stand the atomic numbers, two digits each, after it the charge in `ion_digits`; then, in MOOG's
    codes, the masses of a molecule's atoms, as in 106.00112 for CH of hydrogen 1 and carbon 12. Where the charge has
    one digit, codes of atoms with two, such as 26.01, are read as Kurucz writes them, unless others have one.
    """
    moog = next(filter(re.compile(r"\d{1,2}\.(?:[1-9]\d*|0(?=\d*[1-9])\d{2,})").fullmatch, map(str.strip, codes)), "")

    def parse(code: str) -> Species:
        if ion_digits == 2 or not re.fullmatch(r"\d{1,2}\.0[1-9]", code.strip()):
            return _coded(code, ion_digits)
        if moog:
            raise ValueError(
                f"the code {code.strip()!r} has its charge in two digits and {moog!r} in one; write Fe II everywhere "
                "as 26.1 or everywhere as 26.01"
            )
        return _coded(code, 2)

    return _each(parse, codes)


def _coded(code: str, ion_digits: int) -> Species:
    numbers, _, rest = code.strip().partition(".")
    pairs = re.findall("..", numbers.zfill(len(numbers) + len(numbers) % 2))
    known = numbers.isdigit() and (not rest or rest.isdigit())
    atoms = tuple(int(pair) for pair in pairs) if known else ()
    charge = rest[:ion_digits].ljust(ion_digits, "0")
    element = _NUMBERED.get(atoms[0]) if len(atoms) == 1 else _MOLECULES.get(tuple(sorted(atoms)))
    if element is None or not charge.isdigit() or int(charge) >= len(ROMAN):
        raise ValueError(f"the code {code.strip()!r} is of no element or molecule that is known here")
    masses = [int(mass) for mass in re.findall("..", rest[ion_digits:])]
    if len(atoms) != 2 or len(masses) != 2 or 0 in masses:
        return element, int(charge), ""
    return element, int(charge), _isotope(element, dict(zip(atoms, masses, strict=True)), masses)


def _isotope(formula: str, mass_of: Mapping[int, int], masses: Sequence[int]) -> str:
    """Return the isotopes of a molecule as text such as "12C14N", its atoms in the order of the formula."""
    symbols = _ATOM.findall(formula)
    if len(symbols) == 1:
        return "".join(f"{mass}{symbols[0]}" for mass in sorted(masses))
    by_symbol = {_NUMBERED[number]: mass for number, mass in mass_of.items()}
    return "".join(f"{by_symbol[symbol]}{symbol}" for symbol in symbols)
