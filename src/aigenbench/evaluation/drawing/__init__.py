"""Charts and tables as data, drawn as SVG, by matplotlib and in a terminal."""
