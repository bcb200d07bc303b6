"""Numbers of the Triton kernels on a CPU.

Triton's interpreter must be asked for before the kernels are imported, which cannot be said of a process
that runs the whole suite. So plain pytest collects nothing here; `tests/kernels/test_numbers.py` runs this
folder in processes of its own.
"""

import os

if os.environ.get("TRITON_INTERPRET") == "1":
    import torch
    from hypothesis import HealthCheck, settings

    from onnuri.kernels.verification import interpreter

    interpreter.install()
    torch.set_num_threads(1)
    # Memory that no one wrote to is NaN: a result that was left out cannot pass.
    torch.use_deterministic_algorithms(True)
    settings.register_profile(
        "numbers",
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    settings.load_profile("numbers")
else:
    collect_ignore_glob = ["test_*.py"]
