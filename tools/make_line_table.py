"""Make the line tables of lux/spectroscopy from the line list of APOGEE of 2013-12-16 (Shetrone et al. 2015).

The list comes in the source archive of the Python package pymoog 0.0.28 (MIT), which is fetched from the package index
that pip is configured for, or given with --archive. Three tables are written: the lines that matter in giants, lines of
heavy elements (from the literature cited below), and OH airglow lines (the rotation-vibration lines of the same list).

    python tools/make_line_table.py [--archive pymoog-0.0.28.tar.gz]
"""

import argparse
import hashlib
import html
import re
import sys
import tarfile
import urllib.parse
import urllib.request
from io import BytesIO
from pathlib import Path

import numpy as np
from astropy.table import Column, Table
from scipy import constants

from lux.simulation.equilibrium import BOLTZMANN_EV, ELEMENTS
from lux.simulation.synthesis import line_strength
from lux.spectroscopy.lines import LineList, air_to_vacuum

ARCHIVE = "pymoog-0.0.28.tar.gz"
SHA256 = "430197e067d09d3cb164dfab98ddba00d124a3318b26c521b58c0f41b7259669"
MEMBER = "pymoog-0.0.28/pymoog/files/linelist/apogee/apogee.list"
TABLES = Path(__file__).resolve().parent.parent / "lux" / "spectroscopy"
SOURCE = "APOGEE line list of 2013-12-16, Shetrone et al. 2015, ApJS 221, 24; vacuum wavelengths"

FIRST, LAST = 15095.0, 17004.0
THRESHOLD = 0.02
LINES_PER_SPECIES = 8
GIANTS = {
    "teff": [3800.0, 4200.0, 4700.0, 5200.0, 4300.0, 4600.0, 5000.0],
    "logg": [0.8, 1.5, 2.5, 2.9, 1.2, 1.5, 2.3],
    "m_h": [0.2, 0.0, 0.2, 0.0, -1.5, -1.0, -0.5],
    "alpha_m": [0.0, 0.05, 0.0, 0.0, 0.3, 0.3, 0.2],
}
SYMBOLS = {
    1: "H", 6: "C", 7: "N", 8: "O", 11: "Na", 12: "Mg", 13: "Al", 14: "Si", 15: "P", 16: "S", 19: "K", 20: "Ca",
    21: "Sc", 22: "Ti", 23: "V", 24: "Cr", 25: "Mn", 26: "Fe", 27: "Co", 28: "Ni", 29: "Cu", 30: "Zn", 32: "Ge",
    38: "Sr", 40: "Zr",
}  # fmt: skip
MOLECULES = {"607": ("C", "N"), "608": ("C", "O"), "108": ("O", "H"), "606": ("C", "C")}

# Air wavelength, lower level (eV), log gf. Ce II: Cunha et al. 2017; Yb II, Er II, Cs I, Rb I: VALD; Nd II: Hasselquist
# et al. 2016, excitations and log gf rounded. Lines without a published log gf keep their position only.
HEAVY_LINES = {
    "Ce II": [
        (15277.61, 0.609, -1.52), (15784.76, 0.318, -1.68), (15958.37, 0.470, -1.26), (15977.12, 0.23, -2.10),
        (16327.32, 0.56, -2.40), (16376.47, 0.122, -1.27), (16595.20, 0.122, -1.48), (16722.53, 0.470, -1.19),
    ],
    "Nd II": [(15368.14, 1.26, -1.5), (16053.63, 0.74, -2.2), (16262.04, 0.99, -2.0), (16303.80, np.nan, np.nan)],
    "Yb II": [(16498.40, 3.017, -0.640)],
    "Rb I": [
        (15228.154, 2.940, -1.600), (15288.43, 1.589, -0.535), (15289.48, 1.589, 0.420), (15406.485, 2.950, -1.121),
        (16780.502, 3.187, -1.646), (16792.763, 3.187, -1.928),
    ],
    "Er II": [
        (15002.95, 2.690, -1.660), (15458.11, 2.715, -2.010), (16072.70, 2.745, -1.550), (16449.92, 2.570, -1.680),
        (16716.72, 2.670, -2.080),
    ],
    "Cs I": [
        (15241.69, np.nan, np.nan), (15299.026, 2.699, -1.703), (15734.889, 2.721, -1.483), (16286.971, 2.801, -1.979),
        (16329.803, 2.806, -1.714), (16536.44, 2.699, -0.821),
    ],
}  # fmt: skip
HEAVY_SOURCE = {"Ce II": "Cunha et al. 2017", "Nd II": "Hasselquist et al. 2016"}

# OH X2Pi: vibration, rotation and spin-orbit constants in cm^-1 (Huber & Herzberg 1979), good to label levels.
OH_OMEGA, OH_ROTATION, OH_SPIN_ORBIT = (3737.76, -84.88, 0.541), (18.911, -0.7242, -0.0019), -139.2
# Temperatures of the populations of the upper levels, as in the atlas of Rousselot et al. (2000).
OH_ROTATION_KELVIN, OH_VIBRATION_KELVIN = 190.0, 9000.0
AIRGLOW_FIRST, AIRGLOW_LAST, N_AIRGLOW = 15100.0, 17000.0, 60
ELECTRONVOLT_ANGSTROM = constants.h * constants.c / constants.eV / constants.angstrom
INVERSE_CM_EV = constants.h * constants.c / constants.eV / constants.centi


def fetch_archive():
    """The bytes of the source archive from the package index, its checksum verified."""
    from pip._internal.models.index import PyPI

    page_url = f"{PyPI.simple_url}/pymoog/"
    with urllib.request.urlopen(page_url, timeout=60) as response:
        page = response.read().decode()
        page_url = response.geturl()
    links = [html.unescape(link) for link in re.findall(r'href="([^"]+)"', page)]
    matching = [link for link in links if Path(urllib.parse.urlsplit(link).path).name == ARCHIVE]
    if not matching:
        raise FileNotFoundError(f"the package index lists no {ARCHIVE}; download it elsewhere and pass --archive")
    with urllib.request.urlopen(urllib.parse.urljoin(page_url, matching[0]), timeout=600) as response:
        return response.read()


def read_member(content):
    """The line list inside the archive, as text; raises ValueError on a wrong checksum."""
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256:
        raise ValueError(f"{ARCHIVE} has sha256 {digest}, expected {SHA256}: fetch it again")
    with tarfile.open(fileobj=BytesIO(content), mode="r:gz") as archive:
        return archive.extractfile(MEMBER).read().decode()


def decode_species(code):
    """Species name and isotope of a code such as 26.00 (Fe I), 608.01316 (13C16O); None for what is not wanted."""
    number, detail = code.split(".")
    if number in MOLECULES:
        first, second = MOLECULES[number]
        masses = int(detail[1:3]), int(detail[3:5])
        isotope = "".join(f"{mass}{atom}" for mass, atom in zip(masses, (first, second), strict=True))
        if number == "108":
            isotope = f"{masses[1]}O{max(masses[0], 1)}H"
        return {"CC": "C2"}.get(first + second, first + second), isotope
    stage = {"0": "I", "1": "II"}.get(detail[0])
    if int(number) not in SYMBOLS or stage is None:
        return None
    return f"{SYMBOLS[int(number)]} {stage}", ""


def parse(text):
    """The LineList of the text of the APOGEE list (heavy elements, helium and rare molecules left out)."""
    rows = []
    for line in text.splitlines()[1:]:
        wavelength, code, excitation, log_gf, damping = line.split()[:5]
        decoded = decode_species(code)
        if decoded and FIRST <= float(wavelength) <= LAST:
            damping = 0.0 if decoded[1] else float(damping)
            rows.append((float(wavelength), *decoded, float(excitation), float(log_gf), damping))
    rows.sort()
    wavelength, species, isotope, excitation, log_gf, damping = map(np.array, zip(*rows, strict=True))
    parts = [name.split() for name in species]
    return LineList(
        wavelength=wavelength,
        species=species,
        isotope=isotope,
        excitation=excitation,
        log_gf=log_gf,
        damping=damping,
        element=np.array([part[0] for part in parts]),
        ion=np.array([int(part[-1] == "II") for part in parts]),
        source=np.full(len(rows), "Shetrone et al. 2015"),
    )


def select(lines):
    """Mask of the lines that matter in one of the giants: opacity at line center against the continuum, per species."""
    strength = line_strength(lines=lines, **GIANTS).max(axis=0)
    keep = (strength > THRESHOLD) | (lines.element == "H")
    for species in np.unique(lines.species):
        members = np.flatnonzero(lines.species == species)
        strongest = members[np.argsort(strength[members])[::-1][:LINES_PER_SPECIES]]
        keep[strongest[strength[strongest] > 1e-4]] = True
    return keep


def hydroxyl_levels():
    """Levels of OH: energies in eV above the ground level, vibration v, component 1 or 2, N (Hill & Van Vleck 1928)."""
    v, component, n = (grid.ravel() for grid in np.meshgrid(np.arange(8), [1, 2], np.arange(1, 16), indexing="ij"))
    half = v + 0.5
    vibration = sum(constant * (half ** (k + 1) - 0.5 ** (k + 1)) for k, constant in enumerate(OH_OMEGA))
    rotation, distortion = OH_ROTATION[0] + OH_ROTATION[1] * half, OH_ROTATION[2]
    j_half = np.where(component == 1, n + 1, n)
    ratio = OH_SPIN_ORBIT / rotation
    root = 0.5 * np.sqrt(4.0 * j_half**2 + ratio * (ratio - 4.0))
    term = rotation * (j_half**2 - 1.0 + np.where(component == 1, -root, root)) + distortion * (j_half**2 - 1.0) ** 2
    lowest = term[(component == 1) & (n == 1)][v]
    return (vibration + term - lowest) * INVERSE_CM_EV, v, component, n


def hydroxyl_transitions():
    """Main-branch dv = 2 transitions: lower energy, transition, upper rotation and origin (eV), upper v, label."""
    energy, v, component, n = hydroxyl_levels()
    upper, lower = np.nonzero((v[:, None] - v == 2) & (np.abs(n[:, None] - n) <= 1) & (component[:, None] == component))
    origin = energy[(component == 1) & (n == 1)][v]
    labels = [
        f"{v[u]}-{v[k]} {'PQR'[n[u] - n[k] + 1]}{component[u]}({n[k]})" for u, k in zip(upper, lower, strict=True)
    ]
    transition = energy[upper] - energy[lower]
    return energy[lower], transition, (energy - origin)[upper], origin[upper], v[upper], np.array(labels)


def identify(hydroxyl):
    """Index of the transition of each OH line, the nearest in lower and transition energy, and the mismatch squared.

    The band origins of the approximate levels are refined once, on the strong lines.
    """
    lower, transition, _, _, v, _ = hydroxyl_transitions()
    observed = ELECTRONVOLT_ANGSTROM / hydroxyl.wavelength
    origin_error = np.zeros(len(lower))
    for tolerance in (2e-3, 5e-4, 2e-4):
        cost = ((hydroxyl.excitation[:, None] - lower) / 1e-3) ** 2
        cost += ((observed[:, None] - transition - origin_error) / tolerance) ** 2
        index = cost.argmin(axis=1)
        for band in np.unique(v):
            members = (hydroxyl.log_gf > -6.2) & (v[index] == band)
            if members.any():
                origin_error[v == band] = np.median((observed - transition[index])[members])
    return index, cost.min(axis=1)


def airglow(lines):
    """The OH airglow lines among the stellar lines: sorted (wavelength, transition, doublet separation, strength).

    Photon rate ~ gf / lambda^2 times the population of the upper level, vibration and rotation each at its temperature.
    """
    hydroxyl = lines[(lines.species == "OH") & (lines.isotope == "16O1H") & (lines.log_gf > -8.0)]
    hydroxyl = hydroxyl.within(AIRGLOW_FIRST, AIRGLOW_LAST)
    _, _, rotation, origin, _, labels = hydroxyl_transitions()
    index, mismatch = identify(hydroxyl)
    rate = 10.0**hydroxyl.log_gf / hydroxyl.wavelength**2
    rate *= np.exp(-origin[index] / (BOLTZMANN_EV * OH_VIBRATION_KELVIN))
    rate *= np.exp(-rotation[index] / (BOLTZMANN_EV * OH_ROTATION_KELVIN))
    doublets = {}
    for row in np.flatnonzero(mismatch < 25.0):
        doublets.setdefault(labels[index[row]], []).append((hydroxyl.wavelength[row], rate[row]))
    strongest = sorted(doublets.items(), key=lambda item: -sum(rate for _, rate in item[1]))[:N_AIRGLOW]
    scale = sum(rate for _, rate in strongest[0][1])
    merged = []
    for label, members in strongest:
        wavelength, weight = np.array(members).T
        pair = (np.abs(wavelength - wavelength[weight.argmax()]) < 6.0) & (weight > 0.5 * weight.max())
        wavelength, weight = wavelength[pair], weight[pair]
        merged.append((wavelength @ weight / weight.sum(), str(label), np.ptp(wavelength), weight.sum() / scale))
    return sorted(merged)


def write(name, comments, rows, columns):
    """Write rows as an ECSV table; `columns` are (name, unit, description, decimals), decimals None for text."""
    table = Table(meta={"comments": comments})
    for (column, unit, description, decimals), values in zip(columns, zip(*rows, strict=True), strict=True):
        values = np.array(values) if decimals is None else np.round(np.array(values, float), decimals)
        table[column] = Column(values, unit=unit, description=description)
    table.write(TABLES / name, format="ascii.ecsv", delimiter=",", overwrite=True)
    print(f"{name}: {len(table)} lines, {(TABLES / name).stat().st_size / 1e3:.0f} kB")


WAVELENGTH = ("wavelength", "Angstrom", "in vacuum", 3)
SPECIES = ("species", None, "element and ionization stage, or molecule", None)
EXCITATION = ("excitation", "eV", "energy of the lower level", 3)
LOG_GF = ("log_gf", None, "log10 of weight times oscillator strength; nan: only the position is published", 3)


def write_airglow_lines(lines):
    """Write the strongest OH airglow lines."""
    write(
        "airglow_lines.ecsv",
        [
            f"OH airglow: the {N_AIRGLOW} strongest, {AIRGLOW_FIRST:.0f}-{AIRGLOW_LAST:.0f} A, as observed.",
            f"Positions: OH lines of the {SOURCE}.",
            "Strengths, indicative: populations of the upper levels as in Rousselot et al. (2000),",
            f"at {OH_ROTATION_KELVIN:.0f} K and {OH_VIBRATION_KELVIN:.0f} K.",
        ],
        airglow(lines),
        [
            ("wavelength", "Angstrom", "in vacuum, mean of the Lambda doublet", 3),
            ("transition", None, "vibration, branch and lower rotation", None),
            ("separation", "Angstrom", "of the Lambda doublet", 3),
            ("strength", None, "computed photon rate, strongest = 1", 4),
        ],
    )


def write_giant_lines(lines):
    """Write the selected lines of giants."""
    columns = [
        WAVELENGTH,
        SPECIES,
        EXCITATION,
        LOG_GF,
        ("damping", None, "log10 of the van der Waals width per H atom at 10,000 K in rad/s cm3; 0: unknown", 2),
        ("isotope", None, "of a molecule", None),
    ]
    write(
        "giant_lines.ecsv",
        [
            f"Lines of red giants, {FIRST:.0f}-{LAST:.0f} A. {SOURCE}.",
            f"Selected by tools/make_line_table.py: line-center over continuous opacity > {THRESHOLD} in one of"
            f" {len(GIANTS['teff'])} giants, or among the {LINES_PER_SPECIES} strongest of a species.",
        ],
        zip(*(getattr(lines, name) for name, *_ in columns), strict=True),
        columns,
    )


def write_heavy_lines():
    """Write the lines of heavy elements, converted from air to vacuum."""
    write(
        "heavy_lines.ecsv",
        [
            "Lines of neutron-capture elements in the H band, after Smith et al. 2021, AJ 161, 254.",
            "Vacuum wavelengths converted from air (Ciddor 1996).",
            "The line at 16502.90 A, listed as Y II in the APOGEE list of 2013, is Yb II in VALD and here.",
        ],
        sorted(
            (float(air_to_vacuum(air)), species, excitation, log_gf, HEAVY_SOURCE.get(species, "VALD"))
            for species, lines in HEAVY_LINES.items()
            for air, excitation, log_gf in lines
        ),
        [WAVELENGTH, SPECIES, EXCITATION, LOG_GF, ("source", None, "of excitation and log_gf", None)],
    )


def main(arguments=None):
    """Make the tables; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--archive", type=Path, help="a local copy of the source archive")
    options = parser.parse_args(arguments)
    text = read_member(options.archive.read_bytes() if options.archive else fetch_archive())
    lines = parse(text)
    assert set(lines.element) - {"CN", "CO", "OH", "C2"} <= set(ELEMENTS)
    write_giant_lines(lines[select(lines)])
    write_heavy_lines()
    write_airglow_lines(lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
