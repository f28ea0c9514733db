"""The blob store: the bytes, once each, by digest. Which packages hold them is in nora.catalog."""
