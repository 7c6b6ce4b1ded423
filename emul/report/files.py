"""The same as emul.files, for modules that ask for it by its former name."""

from emul.files import check_outputs, check_writable, write_file, write_text

__all__ = ["check_outputs", "check_writable", "write_file", "write_text"]
