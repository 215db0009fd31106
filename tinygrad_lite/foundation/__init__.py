"""What every room may need and none owns: settings, sums, files, messages, and the ways of other libraries."""
