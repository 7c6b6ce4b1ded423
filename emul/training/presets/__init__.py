"""Models and hardware as data, one TOML file for each kind; every entry has its source."""
