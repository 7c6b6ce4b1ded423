"""CUDA C++ sources, one primitive per file; installed as the package ``emul.kernels``."""
