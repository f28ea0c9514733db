"""The catalog: the rows that say what is stored. The bytes are in nora.blobs."""
