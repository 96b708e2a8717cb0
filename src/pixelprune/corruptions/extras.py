"""The corruptions beside the 15 of the benchmark: its authors hold them out, to tune on.

**Source:** Hendrycks and Dietterich, ICLR 2019, appendix B, arXiv:1903.12261.
"""

EXTRAS = ("speckle_noise", "gaussian_blur", "spatter", "saturate")
