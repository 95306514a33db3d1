"""One line of iron and one of europium, with some neighbors, in lists as VALD, Kurucz and MOOG write them."""

# Eu II 6645.11 and Fe I 6430.85 in air, as published.
EUROPIUM, IRON = 6645.1040, 6430.8450
SHORT_STELLAR = """\
  6400.00000, 6700.00000, 3, 4271, 2.0 Wavelength region, lines selected, lines processed, Vmicro
                                                     Damping parameters   Lande  Central
Spec Ion       WL_air(A)   Excit(eV) Vmic log gf*  Rad.  Stark    Waals  factor   depth  Reference
'Fe 1',        6430.8450,   2.1759,  2.0, -2.006, 8.220,-6.190,-7.704,  1.240, 0.791, '   1 wl:K14   1 gf:BWL, K14'
'Eu 2',        6645.1040,   1.3800,  2.0,  0.120, 0.000, 0.000, 0.000, 99.000, 0.210, '   2 wl:LWHS'
'CN 1',        6450.1230,   0.5200,  2.0, -1.500, 0.000, 0.000, 0.000, 99.000, 0.310, '   3 CN'
* oscillator strengths were scaled by the solar isotopic ratios.
 References:
  1. Kurucz obs. energy level: Fe 1
"""
LONG_ALL = """\
                                                                     Lande factors        Damping parameters
Elm Ion       WL_vac(nm)  log gf* E_low(cm^-1) J lo E_up(cm^-1) J up   lower   upper    mean   Rad.  Stark   Waals
'Fe 1',        643.2622,  -2.006,  17550.181,  4.0,  33095.941,  4.0,  1.500,  1.350,  1.240, 8.220,-6.190,243.245,
  LS                                              3d7.(4F).4s a5P
  LS                                              3d6.(5D).4s.4p y5D*
'_          Kurucz Fe I 2014   1 wl:K14   1 gf:K14'
'Eu 2',        664.6939,   0.120,  11128.400,  4.0,  26173.000,  5.0, 99.000, 99.000, 99.000, 0.000, 0.000,-7.800,
  LS                                              4f7.5d a9D*
  LS                                              4f7.6p z9P
'_          LWHS   1 wl:LWHS'
* oscillator strengths were scaled by the solar isotopic ratios.
"""
MOOG = """\
europium and its neighbors
  6430.845      26.0     2.176    -2.006     -7.70
  6645.104      63.1     1.380     0.120
  6645.057   63.1151     1.380    -0.517
  6450.123     607.0     0.520    -1.500                7.76
  6451.500 106.00112     1.150    -1.300                3.47
  6452.500 607.01314     1.150    -1.300
 -6453.500     822.0     0.100    -2.000
"""


def kurucz(wavelength, log_gf, code, first, second, widths="", hyperfine="", isotopic=""):
    """Return a line of a gf file: F11.4, F7.3, F6.2, F12.3, F5.2, 1X, A10, F12.3, F5.2, 1X, A10, 3F6.2, A4, ..."""
    line = f"{wavelength:11.4f}{log_gf:7.3f}{code:6.2f}{first:12.3f}{4.0:5.1f} {'(7D)4s a5P':10s}"
    line += f"{second:12.3f}{4.0:5.1f} {'(5D)4p y5D':10s}{widths:18s}{'K14':4s}"
    return f"{line} 0 0  0{hyperfine:6s}  0{isotopic:6s}    0    0"


KURUCZ = "\n".join(
    [
        kurucz(643.0845, -2.006, 26.00, 17550.181, 33095.941, "  8.22 -6.19 -7.70"),
        kurucz(664.5104, 0.120, 63.01, -26173.000, 11128.400, "", "-0.300", "-0.320"),
        kurucz(199.5000, -1.000, 26.01, 0.0, 50125.313),
    ]
)


def written(tmp_path, text, name="lines.txt"):
    path = tmp_path / name
    path.write_text(text)
    return path
