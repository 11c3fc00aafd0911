"""The comparison of binarization operators on six tracks, after BiBench (Qin et al., ICML 2023)."""
