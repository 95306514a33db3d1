"""What users' arrays, tables, spectra and files mean, and as what a survey takes them."""
