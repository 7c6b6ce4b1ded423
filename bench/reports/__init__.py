"""Reports: figures of one machine, printed as a table and written as JSON."""
