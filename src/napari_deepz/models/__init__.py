"""Neural networks that refocus, and the packages they are kept in."""

DEFAULT_MODEL = "widefield-20x"

CITATION = (
    "Wu et al., Three-dimensional virtual refocusing of fluorescence microscopy images using deep "
    "learning, Nature Methods 16, 1323-1331 (2019), doi:10.1038/s41592-019-0622-5"
)
