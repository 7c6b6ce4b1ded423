"""Reading values that others wrote: arguments, text files, JSON and TOML, within bounds."""
