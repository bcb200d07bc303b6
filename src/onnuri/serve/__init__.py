"""A model behind HTTP: the API that OpenAI's clients speak, and a chat page."""
