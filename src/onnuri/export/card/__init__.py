"""The model card and its companions: one set of facts, written in every form that somebody asks for."""
