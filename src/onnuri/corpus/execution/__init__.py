"""How a recipe is carried out: units of work, worker processes, files between the passes and after them."""
