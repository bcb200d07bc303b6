"""How a recipe is carried out: units of work, worker processes, files between the passes and after them."""

import os

# Nothing phones home: read by huggingface_hub when it is imported, here and in workers.
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["DO_NOT_TRACK"] = "1"
