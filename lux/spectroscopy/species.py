"""Elements, ions and molecules by the names and codes that lists of lines give them."""

import functools
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
# Of a code the last digit, that of the mass of an isotope.
_LAST_DIGIT = 1e-5


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
    charges = [_charge(ion) for ion in ions]
    known = [int(float(ion)) for name, ion in zip(names, ions, strict=True) if _is_element(name) and _is_charge(ion)]
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


def listed_species(names: Sequence[str], ions: Sequence[str] | None = None) -> list[Species | ValueError]:
    """Return the species of names and codes, such as 63.1, beside which there may be a column of charges or stages.

    A name or code that says its charge must agree with the column, whose numbers are charges, or stages throughout.
    """
    coded = [bool(re.fullmatch(r"\s*\d+\.\d*\s*", name)) for name in names]
    of_codes, of_names = (
        iter(parse([name for name, each in zip(names, coded, strict=True) if each is wanted]))
        for parse, wanted in ((functools.partial(coded_species, ion_digits=1), True), (named_species, False))
    )
    species = [next(of_codes if each else of_names) for each in coded]
    if ions is None:
        return species
    charged = [code or has_stage(name) for code, name in zip(coded, names, strict=True)]
    if not any(charged):
        return ionized_species(names, ions)
    # A molecule is neutral where its name says nothing.
    charged = [each or _is_molecule(found) for each, found in zip(charged, species, strict=True)]
    left = [row for row, each in enumerate(charged) if not each and ions[row].strip()]
    for row, found in zip(
        left, ionized_species([names[row] for row in left], [ions[row] for row in left]), strict=True
    ):
        species[row] = found
    # Codes of which none has a charge may be atomic numbers, whose charges are those of the column.
    bare = all(isinstance(each, ValueError) or each[1] == 0 for each in species)
    return _agreeing(
        species,
        names,
        [ion if each else "" for ion, each in zip(ions, charged, strict=True)],
        stages=not left and not (all(coded) and bare),
    )


def _agreeing(
    species: Sequence[Species | ValueError], names: Sequence[str], ions: Sequence[str], stages: bool
) -> list[Species | ValueError]:
    """Return species, and what is wrong where their charges are not those beside them, or all of them `stages`."""
    given = [_charge(ion) for ion in ions]
    checked = [
        (row, each[1]) for row, each in enumerate(species) if not isinstance(each, ValueError) and given[row] >= 0
    ]
    agreeing = list(species)
    if stages and all(given[row] == charge + 1 for row, charge in checked):
        return agreeing
    for row, charge in checked:
        if given[row] != charge:
            agreeing[row] = ValueError(
                f"the species {names[row].strip()!r} has the charge {charge} and the column 'ion' "
                f"{ions[row].strip()!r}, of which 0 is neutral: correct one of these, or leave that column out"
            )
    return agreeing


def _is_molecule(species: Species | ValueError) -> bool:
    return not isinstance(species, ValueError) and species[0] not in _SYMBOLS


def _is_charge(text: str) -> bool:
    return bool(re.fullmatch(r"\d+(\.0*)?", text.strip()))


def _charge(ion: str) -> int:
    """Return the charge that is a number, or that of a stage such as "II"; -1 if it is neither."""
    stage = ion.strip().upper()
    return ROMAN.index(stage) if stage in ROMAN else int(float(stage)) if _is_charge(stage) else -1


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
    one digit, codes of atoms with two, such as 26.01, are read as Kurucz writes them, unless others have one. Digits
    that single precision made of others, as in 63.09999847, are rounded to these.
    """
    codes = [_rounded(code.strip()) for code in codes]
    moog = next(filter(re.compile(r"\d{1,2}\.(?:[1-9]\d*|0(?=\d*[1-9])\d{2,})").fullmatch, codes), "")

    def parse(code: str) -> Species:
        if not _is_exact(code):
            raise ValueError(f"the code {code!r} has lost digits in single precision: give codes as text")
        if ion_digits == 2 or not re.fullmatch(r"\d{1,2}\.0[1-9]", code):
            return _coded(code, ion_digits)
        if moog:
            raise ValueError(
                f"the code {code!r} has its charge in two digits and {moog!r} in one; write Fe II everywhere "
                "as 26.1 or everywhere as 26.01"
            )
        return _coded(code, 2)

    return _each(parse, codes)


def _is_exact(code: str) -> bool:
    """Whether a code has no more digits than are written: five of an atom, seven of a molecule, more of three atoms."""
    numbers, _, rest = code.partition(".")
    most = 5 if len(numbers) < 3 else 7 if len(numbers) < 5 else len(rest)
    return not (numbers + rest).isdigit() or len(rest.rstrip("0")) <= most


def _rounded(code: str) -> str:
    """Return a code without what single or double precision adds; as it is where these took digits from it."""
    if _is_exact(code):
        return code
    value = float(code)
    step = float(np.spacing(np.float32(value)))
    for digits, tolerance in ((5, 1e-9), (5, step * (step < _LAST_DIGIT)), (1, step)):
        if abs(value - round(value, digits)) <= tolerance:
            return f"{value:.{digits}f}".rstrip("0").removesuffix(".")
    return code


def _coded(code: str, ion_digits: int) -> Species:
    numbers, _, rest = code.partition(".")
    pairs = re.findall("..", numbers.zfill(len(numbers) + len(numbers) % 2))
    known = numbers.isdigit() and (not rest or rest.isdigit())
    atoms = tuple(int(pair) for pair in pairs) if known else ()
    charge = rest[:ion_digits].ljust(ion_digits, "0")
    element = _NUMBERED.get(atoms[0]) if len(atoms) == 1 else _MOLECULES.get(tuple(sorted(atoms)))
    if element is None or not charge.isdigit() or int(charge) >= len(ROMAN):
        raise ValueError(f"the code {code!r} is of no element or molecule that is known here")
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
