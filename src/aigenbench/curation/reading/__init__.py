"""Images as they are found: folders, archives, tables, saved sets, the published parts."""
