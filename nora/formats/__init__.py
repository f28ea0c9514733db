"""The formats: each folder translates between one wire protocol and the one model of nora.catalog."""
