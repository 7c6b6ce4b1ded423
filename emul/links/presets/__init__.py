"""Links of many kinds, each a TOML file beside this module; every number has its source."""
