"""Where images come from: data sets on disk, their tables, pictures and decoders."""
