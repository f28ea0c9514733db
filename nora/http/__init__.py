"""HTTP: the seam to the server, bodies in, bytes out, errors."""
