"""GPUs and what they can do by their data sheets."""

PEAK_FLOPS = {
    "A100": 312e12,
    "H100 NVL": 835e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "H200": 989e12,
    "B200": 2250e12,
    "B300": 2250e12,
}
"""Dense bf16 FLOP/s, without sparsity, by what the name of a GPU contains; the first that fits."""

NOMINAL_WATTS = {
    "A100-SXM": 400,
    "A100 80GB PCIe": 300,
    "H100 NVL": 400,
    "H100 PCIe": 350,
    "H100 80GB HBM3": 700,
    "H200 NVL": 600,
    "H200": 700,
}
"""Largest board power in watts by data sheet, by what the name of a GPU contains; the first that fits."""


def nominal_watts_of(name: str) -> float:
    """Board power of a GPU in watts by its name; 0 for a device that is not listed, CPUs among them."""
    return next((float(watts) for part, watts in NOMINAL_WATTS.items() if part in name), 0.0)


def peak_flops_of(name: str) -> float:
    """Dense bf16 FLOP/s of a GPU by its name; 0 for one that is not listed."""
    return next((peak for part, peak in PEAK_FLOPS.items() if part in name), 0.0)
