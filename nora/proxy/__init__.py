"""What is asked of upstreams, and what is kept of their answers: one engine for every format."""
