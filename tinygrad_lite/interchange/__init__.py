"""Models in the files and formats of other libraries."""
