"""What is done for a store over the years, beside serving it: backups, and looking whether it is whole."""
