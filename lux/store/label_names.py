"""Names of labels: how they are spelled, and their units and texts."""

import re

_LABEL_TEXT = {
    "teff": "$T_\\mathrm{eff}$",
    "logg": "$\\log g$",
    "fe_h": "[Fe/H]",
    "m_h": "[M/H]",
    "alpha_fe": "[$\\alpha$/Fe]",
    "alpha_m": "[$\\alpha$/M]",
}

# Symbols of the chemical elements, in lower case, in the order of their numbers.
ELEMENTS = tuple(
    "h he li be b c n o f ne na mg al si p s cl ar k ca sc ti v cr mn fe co ni cu zn ga ge as se br kr rb sr y zr nb "
    "mo tc ru rh pd ag cd in sn sb te i xe cs ba la ce pr nd pm sm eu gd tb dy ho er tm yb lu hf ta w re os ir pt au "
    "hg tl pb bi th u".split()
)
_ATOMS = re.compile(rf"a_({'|'.join(ELEMENTS)})")
_JOINED = re.compile(rf"({'|'.join(ELEMENTS)}|alpha)(fe|h|m)")
_UNIT_IN_NAME = re.compile(r"[\[(]\s*(?:k|kelvin|dex|cgs|km/s)\s*[\])]")
# M_K is a magnitude.
_SUFFIX_OF_NAME = re.compile(r"(?<!^m)_(?:k|kelvin|dex|cgs|kms|km_s|spec)$")
_OTHER_NAMES = {
    **dict.fromkeys(("t_eff", "temperature", "effective_temperature"), "teff"),
    **dict.fromkeys(("log_g", "gravity", "surface_gravity"), "logg"),
    **dict.fromkeys(("met", "metallicity", "fe"), "fe_h"),
    **dict.fromkeys(("mh", "m"), "m_h"),
    **dict.fromkeys(("afe", "alpha"), "alpha_fe"),
    **dict.fromkeys(("am", "alpham"), "alpha_m"),
    **dict.fromkeys(("vmic", "v_mic", "v_micro", "microturbulence"), "vmicro"),
    **dict.fromkeys(("vmac", "v_mac", "v_macro"), "vmacro"),
    **dict.fromkeys(("v_sin_i", "v_sini"), "vsini"),
}


def plain_name(label: str) -> str:
    """Return a label's name as written here: "[Fe/H]", "FE_H" and "feh" are "fe_h", "T_eff [K]" is "teff".

    A(X), the number of atoms by itself, is "x_h": the two differ by a constant.
    """
    name = _UNIT_IN_NAME.sub("", label.casefold().replace("α", "alpha"))
    name = re.sub(r"[^a-z0-9]+", "_", name).strip("_")
    name = _SUFFIX_OF_NAME.sub("", name)
    name = _OTHER_NAMES.get(name, name)
    if name in ELEMENTS:
        # Samarium is no sulfur over metals.
        return name
    if match := _ATOMS.fullmatch(name):
        return f"{match[1]}_h"
    if match := _JOINED.fullmatch(name):
        return f"{match[1]}_{match[2]}"
    return name


def label_unit(name: str) -> str:
    """Return the unit of a label by its name: "K" for teff, "dex" for logg and abundances such as mg_fe, else none."""
    return {"teff": "K", "logg": "dex"}.get(name, "dex" if "_" in name else "")


def label_text(name: str, with_unit: bool = True) -> str:
    """Return the text of a label for an axis: "eu_fe" gives "[Eu/Fe] (dex)"."""
    element, _, reference = name.partition("_")
    default = f"[{element.capitalize()}/{reference.capitalize()}]" if reference else name
    text, unit = _LABEL_TEXT.get(name, default), label_unit(name)
    return f"{text} ({unit})" if with_unit and unit else text


def label_name(name: str) -> str:
    """Return the name of a label for prose, where no formula is set: "alpha_m" gives "[α/M]"."""
    text = label_text(name, with_unit=False)
    for formula, plain in (("$T_\\mathrm{eff}$", "Teff"), ("$\\log g$", "log g"), ("$\\alpha$", "α")):
        text = text.replace(formula, plain)
    return text
