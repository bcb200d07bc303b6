"""Terms, consents and grants; and on what grounds the data of a repository may be given on at all.

Two consents are kept apart. By the first, whoever asks for a gated repository lets the hub give his name
and form to its owner (`terms`, `grants`). The second is that of the people in the data (`basis`).
"""
