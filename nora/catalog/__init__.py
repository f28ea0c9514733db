"""The catalog: the rows that say what is stored. The bytes are in nora.blobs.

`base` is what every engine offers: the sum of one protocol for each noun, each in a module of its name.
`records` has the values that go in and come out. An engine has a folder, with a module of the same name for
most nouns; no SQL is anywhere else.
"""
