"""quality: a model that scores texts, and how it is trained."""
