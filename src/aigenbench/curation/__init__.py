"""Getting images into the protocol: import of folders, archives, tables, and of the published benchmark's parts."""
