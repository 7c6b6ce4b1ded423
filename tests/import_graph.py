"""The imports of emul with its compiled modules, which import-linter does not see."""

import ast
import re
from functools import lru_cache
from pathlib import Path

import grimp

ROOT = Path(__file__).parent.parent
FACE = "emul"
COMPILED = (".pyx", ".pxd")

CYTHON_FROM = re.compile(r"^[ \t]*from[ \t]+(\S+)[ \t]+c?import[ \t]+(\([^)]*\)|.*)$", re.M)
CYTHON_IMPORT = re.compile(r"^[ \t]*c?import[ \t]+(\S+)", re.M)


class CompleteGraphBuilder:
    """Builds the graph for import-linter: Python by Grimp, and all that names compiled modules."""

    def build(self, root_package_names, cache_dir, include_external_packages, **more):
        assert root_package_names == [FACE]
        assert include_external_packages
        return complete_graph()


@lru_cache(maxsize=1)
def complete_graph():
    """Return the graph of all imports: of types, within functions and by name among them."""
    graph = grimp.build_graph(FACE, include_external_packages=True, cache_dir=None)
    files = [path for kind in (".py", *COMPILED) for path in ROOT.glob(f"{FACE}/**/*{kind}")]
    modules = {module_of(path) for path in files}
    for importer in graph.find_modules_that_directly_import(FACE):
        graph.remove_import(importer=importer, imported=FACE)  # as Grimp reads compiled modules
    for path in files:
        importer = module_of(path)
        for line, name in imports_of(path):
            imported = resolved(name, modules)
            if imported == importer:
                continue
            if imported not in modules | graph.modules:
                graph.add_module(imported, is_squashed=True)
            graph.add_import(
                importer=importer, imported=imported, line_number=line, line_contents=name
            )
    return graph


def module_of(path):
    """Return the dotted name of the module in the file ``path``."""
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


def resolved(name, modules):
    """Return the module that ``name`` is in: of emul, or the outermost package of another."""
    if name.partition(".")[0] != FACE:
        return name.partition(".")[0]
    return name if name in modules else name.rpartition(".")[0]


def imports_of(path):
    """Yield a line of the file ``path``, and the dotted name that is imported there."""
    text = path.read_text()
    yield from _by_cython(text) if path.suffix in COMPILED else _by_python(text)


def _by_cython(text):
    for found in CYTHON_FROM.finditer(text):
        for name in re.findall(r"\w+", re.sub(r"#.*| as \w+", "", found[2])):
            yield text.count("\n", 0, found.start()) + 1, f"{found[1]}.{name}"
    for found in CYTHON_IMPORT.finditer(text):
        yield text.count("\n", 0, found.start()) + 1, found[1]


def _by_python(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not read"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from ((node.lineno, name) for name in _put_together(node.args[0]))


def _put_together(argument):
    """Yield the package that ``import_module`` is asked for, if the source says it."""
    part = argument.values[0] if isinstance(argument, ast.JoinedStr) else argument
    if isinstance(part, ast.Constant):
        yield part.value
