"""The effects of links on connections: drawn delays, states that change, wavelengths."""
