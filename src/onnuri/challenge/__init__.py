"""An open contest: fixed text, a budget of FLOPs, sealed held-out text, and entries that replay."""
