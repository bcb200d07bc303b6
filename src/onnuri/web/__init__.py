"""What the servers of Onnuri share: the socket they listen at, TLS, signals."""
