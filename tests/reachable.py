"""Which functions, classes, methods and constants of emul a user can come to.

The walk starts from the names that ``emul`` and its rooms with a face export, and from the command
line. It reads sources
only. A name is resolved through the imports of its module to its definition, so that two functions
of one name stay two. An attribute of a value has no type here: ``x.name`` reaches the methods
``name`` of all classes that are reached. Users hold values of the exported classes, and of the
classes in the annotations of their public members; all public members of these are reached.
Neither ``__all__`` nor an import reaches anything.

Compiled modules are read as text: every word in a definition is a name that it uses.
"""

import ast
import re
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

BY_NAME = {"getattr", "hasattr", "setattr", "attrgetter", "methodcaller"}
NOT_CODE = {"__all__", "__version__"}
COMMANDS = ("command", "group")
NOTEBOOKS = {"_repr_html_"}
"""Methods that notebooks call."""

INNER = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Lambda)
OWN_BASES = {
    *("Protocol", "Generic", "NamedTuple", "TypedDict", "Enum", "Exception", "ValueError"),
    *("TypeError", "OSError", "KeyError", "RuntimeError", "MemoryError", "ImportError"),
}
"""Bases from outside that call no method of a class by a name of their own."""

TEXTS = re.compile(r'""".*?"""|"[^"\n]*"|#[^\n]*', re.S)
BRACKETS = re.compile(r"\([^()]*\)")
FUNCTION = re.compile(r"(?:cpdef|cdef|def)\b[^(:=]*?(\w+)\s*\(")
CLASS = re.compile(r"(?:cdef\s+)?class\s+(\w+)")
METHOD = re.compile(r"^    (?:cpdef|cdef|def)\b[^(:=\n]*?(\w+)\s*\(", re.M)


@dataclass
class Code:
    """The dotted names and the attributes that a piece of code uses."""

    names: set = field(default_factory=set)
    attributes: set = field(default_factory=set)

    def add(self, other):
        self.names |= other.names
        self.attributes |= other.attributes


@dataclass
class Definition:
    """A function, class, method or constant: its code, and its annotations apart."""

    module: str
    name: str
    code: Code = field(default_factory=Code)
    annotations: Code = field(default_factory=Code)
    is_class: bool = False
    methods: dict = field(default_factory=dict)
    bases: Code = field(default_factory=Code)

    @property
    def place(self):
        return f"{self.module}:{self.name}"


@dataclass
class Module:
    """Definitions by name, imports as (module, name there or None), code that runs on import."""

    name: str
    imports: dict = field(default_factory=dict)
    definitions: dict = field(default_factory=dict)
    code: Code = field(default_factory=Code)

    def define(self, name, code, annotations=None):
        made = self.definitions.setdefault(name, Definition(self.name, name))
        made.code.add(code)
        made.annotations.add(annotations or Code())
        return made


class Uses(ast.NodeVisitor):
    """Collects the names of a piece of code, less the names of its own variables."""

    def __init__(self):
        self.code = Code()
        self.own = []

    def is_own(self, name):
        return any(name in own for own in self.own)

    def visit(self, node):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            self.enter_function(node)
        elif isinstance(node, INNER):
            self.own.append({n for each in node.generators for n in stored(each.target)})
            self.generic_visit(node)
            self.own.pop()
        else:
            super().visit(node)

    def enter_function(self, node):
        for each in (*getattr(node, "decorator_list", ()), *defaults(node), *hints(node)):
            self.visit(each)
        inside = node.body if isinstance(node.body, list) else [node.body]
        names = {each.arg for each in arguments(node)}
        self.own.append(names.union(*map(stored, inside)))
        for each in inside:
            self.visit(each)
        self.own.pop()

    def visit_Name(self, node):
        if isinstance(node.ctx, ast.Load) and not self.is_own(node.id):
            self.code.names.add((node.id,))

    def visit_Attribute(self, node):
        parts, inner = [node.attr], node.value
        while isinstance(inner, ast.Attribute):
            parts.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name) and not self.is_own(inner.id):
            self.code.names.add((inner.id, *reversed(parts)))
        else:
            self.code.attributes.update(parts)
            self.visit(inner)

    def visit_Call(self, node):
        if getattr(node.func, "id", getattr(node.func, "attr", "")) in BY_NAME:
            for each in node.args:
                if isinstance(each, ast.Constant) and isinstance(each.value, str):
                    self.code.attributes.update(each.value.split("."))
        self.generic_visit(node)

    def visit_MatchClass(self, node):
        self.code.attributes.update(node.kwd_attrs)
        self.generic_visit(node)


def arguments(node):
    a = node.args
    return [x for x in (*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg) if x]


def defaults(node):
    return [x for x in (*node.args.defaults, *node.args.kw_defaults) if x]


def hints(node):
    all_hints = [each.annotation for each in arguments(node)] + [getattr(node, "returns", None)]
    return [each for each in all_hints if each]


def stored(node):
    """Return the variables that a statement binds; comprehensions keep theirs to themselves."""
    names, shared, rest = set(), set(), [node]
    while rest:
        each = rest.pop()
        if isinstance(each, ast.Global | ast.Nonlocal):
            shared.update(each.names)
        elif isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
            names.add(each.id)
        elif isinstance(each, ast.FunctionDef | ast.ClassDef):
            names.add(each.name)
            continue
        elif isinstance(each, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
            names.add(each.name)
        if not isinstance(each, INNER):
            rest.extend(ast.iter_child_nodes(each))
    return names - shared


def uses(*nodes):
    found = Uses()
    for node in nodes:
        found.visit(node)
    return found.code


def statements(body):
    """Give the statements of a module, those under ``if`` and ``try`` included."""
    for each in body:
        if isinstance(each, ast.If | ast.Try):
            parts = [each.body, each.orelse, getattr(each, "finalbody", [])]
            for part in (*parts, *(x.body for x in getattr(each, "handlers", ()))):
                yield from statements(part)
        else:
            yield each


def assigned(node):
    """Return the constants that a statement of a module defines."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    if not all(isinstance(x, ast.Name | ast.Tuple) for x in targets):
        return set()
    return {n.id for x in targets for n in ast.walk(x) if isinstance(n, ast.Name)} - NOT_CODE


class Tree:
    """All modules of a package, and the definitions that their names stand for."""

    def __init__(self, root, package):
        files = sorted(Path(root, package).rglob("*.py*")) + sorted(
            Path(root, package).rglob("*.pxd")
        )
        self.modules, sources = {}, []
        for path in files:
            if path.suffix in (".py", ".pyx", ".pxd"):
                parts = path.relative_to(root).with_suffix("").parts
                name = ".".join(parts).removesuffix(".__init__")
                sources.append((self.modules.setdefault(name, Module(name)), path))
        for module, path in sources:
            text = path.read_text(encoding="utf-8")
            if path.suffix == ".py":
                self.read_python(module, ast.parse(text))
            else:
                self.read_compiled(module, TEXTS.sub('""', text))

    def add_import(self, module, source, name, here):
        inner = f"{source}.{name}"
        module.imports[here] = (inner, None) if inner in self.modules else (source, name)

    def read_python(self, module, tree):
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                for each in node.names:
                    self.add_import(module, node.module, each.name, each.asname or each.name)
            elif isinstance(node, ast.Import):
                for each in node.names:
                    target = each.name if each.asname else each.name.split(".")[0]
                    module.imports[each.asname or target] = (target, None)
        for node in statements(tree.body):
            read_statement(module, node)

    def read_compiled(self, module, text):
        text = BRACKETS.sub(lambda found: found.group().replace("\n", " "), text)
        for source, names in re.findall(r"^from (\S+) c?import \(?([^)\n]*)", text, re.M):
            for name, here in re.findall(r"(\w+)(?: as (\w+))?", names):
                self.add_import(module, source, name, here or name)
        edges = [found.start() for found in re.finditer(r"^(?=\S)", text, re.M)]
        for start, end in pairwise([*edges, len(text)]):
            read_block(module, text[start:end])

    def resolve(self, module, chain):
        """Return the definition or module of a dotted name, or None, and the rest of the name."""
        here, (name, *rest) = self.modules[module], chain
        seen = set()
        while (here.name, name) not in seen:
            seen.add((here.name, name))
            if name in here.definitions:
                return here.definitions[name], rest
            source, inner = here.imports.get(name, (None, None))
            if source not in self.modules:
                return None, rest
            parent, _, leaf = source.rpartition(".")
            if inner is None and self.hides(parent, leaf, source):
                here, name = self.modules[parent], leaf
            elif inner is None and not rest:
                return self.modules[source], []
            elif inner is None:
                here, name = self.modules[source], rest.pop(0)
                if f"{source}.{name}" in self.modules and name not in here.imports:
                    here.imports[name] = (f"{source}.{name}", None)
            else:
                here, name = self.modules[source], inner
        return None, rest

    def hides(self, parent, leaf, source):
        """Say whether a package hands on a name that is also the name of one of its modules."""
        return parent in self.modules and self.modules[parent].imports.get(
            leaf, (source, None)
        ) != (
            source,
            None,
        )


def read_statement(module, node):
    """Add a statement of a Python module."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        module.define(node.name, uses(node), uses(*hints(node)))
        for each in node.decorator_list:
            called = each.func if isinstance(each, ast.Call) else each
            if getattr(called, "attr", "") in COMMANDS:  # click calls the function
                module.code.names.add((node.name,))
    elif isinstance(node, ast.ClassDef):
        read_class(module, node)
    elif isinstance(node, ast.Assign | ast.AnnAssign) and (names := assigned(node)):
        for name in names:
            module.define(name, uses(node))
    elif not isinstance(node, ast.Import | ast.ImportFrom):
        module.code.add(uses(node))


def read_class(module, node):
    """Add a class of a Python module, its methods apart."""
    made = module.define(node.name, uses(*node.bases, *node.keywords, *node.decorator_list))
    made.is_class, made.bases = True, uses(*node.bases)
    for each in node.body:
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            name = f"{node.name}.{each.name}"
            method = made.methods.setdefault(each.name, Definition(module.name, name))
            method.code.add(uses(each))
            method.annotations.add(uses(*hints(each)))
        else:
            made.code.add(uses(each))
            if isinstance(each, ast.AnnAssign):
                made.annotations.add(uses(each.annotation))


def read_block(module, block):
    """Add the text of one definition, or of one statement, of a compiled module."""
    first = block.split("\n", 1)[0]
    if first.startswith(("from ", "import ", "cimport ", "@", ")")):
        return
    words = {(word,) for word in re.findall(r"(?<![.\w])[A-Za-z_]\w*", block)}
    code = Code(words, set(re.findall(r"\.\s*([A-Za-z_]\w*)", block)))
    if found := CLASS.match(first):
        made = module.define(found[1], code)
        made.is_class = True
        for name in METHOD.findall(block):
            made.methods[name] = Definition(module.name, f"{found[1]}.{name}")
    elif found := FUNCTION.match(first) or re.match(r"(\w+)\s*=", first):
        if found[1] not in NOT_CODE:
            module.define(found[1], code)
    else:
        module.code.add(code)


class Walk:
    """The definitions that are reached, and the methods that wait for a use of their name."""

    def __init__(self, tree):
        self.tree = tree
        self.reached, self.attributes, self.waiting = set(), set(), {}
        self.modules, self.held = set(), set()

    def reach_module(self, name):
        if name and name not in self.modules:
            self.modules.add(name)
            self.reach_module(name.rpartition(".")[0])
            self.reach_code(name, self.tree.modules[name].code)

    def reach_code(self, module, code):
        for chain in code.names:
            found, rest = self.tree.resolve(module, chain)
            self.use(rest)
            if isinstance(found, Module):
                self.reach_module(found.name)
            elif found is not None:
                self.reach(found)
        self.use(code.attributes)

    def use(self, attributes):
        for name in set(attributes) - self.attributes:
            self.attributes.add(name)
            for method in self.waiting.pop(name, ()):
                self.reach(method)

    def reach(self, found):
        if found.place in self.reached:
            return
        self.reached.add(found.place)
        self.reach_module(found.module)
        self.reach_code(found.module, found.code)
        called = self.is_called_by_base(found)
        for name, method in found.methods.items():
            if called or name in self.attributes | NOTEBOOKS or name.startswith("__"):
                self.reach(method)
            else:
                self.waiting.setdefault(name, []).append(method)

    def is_called_by_base(self, found):
        """Say whether a base from elsewhere may call the methods of a class."""
        for chain in found.bases.names:
            base, _ = self.tree.resolve(found.module, chain)
            if base is None and chain[-1] not in OWN_BASES:
                return True
            if isinstance(base, Definition) and self.is_called_by_base(base):
                return True
        return False

    def hold(self, found):
        """Reach the public members of a class of which users hold values, and of its members."""
        if found.place in self.held:
            return
        self.held.add(found.place)
        self.reach(found)
        self.hold_named(found.module, found.annotations if found.is_class else found.code)
        self.hold_named(found.module, found.bases)
        for name, method in found.methods.items():
            if not name.startswith("_"):
                self.reach(method)
                self.hold_named(found.module, method.annotations)

    def hold_named(self, module, code):
        for chain in code.names:
            found, _ = self.tree.resolve(module, chain)
            if isinstance(found, Definition):
                self.hold(found)


def hold_face(walk, tree, name):
    """Hold all that a face hands on."""
    for each in tree.modules[name].imports:
        found, _ = tree.resolve(name, (each,))
        if isinstance(found, Definition):
            walk.hold(found)


def unreached(root, package="emul", command=("emul.__main__", "run"), rooms=("training",)):
    """Return the places, as module:name, of all that no user comes to.

    ``rooms``: those with a face of their own beside that of the package.
    """
    tree = Tree(root, package)
    walk, face = Walk(tree), tree.modules[package]
    faces = [package, *(f"{package}.{room}" for room in rooms)]
    for each in faces:
        if each in tree.modules:
            hold_face(walk, tree, each)
    walk.reach(tree.modules[command[0]].definitions[command[1]])
    missed = []
    for module in tree.modules.values():
        if module is not face:
            for each in module.definitions.values():
                inside = each.methods.values() if each.place in walk.reached else [each]
                missed += [x.place for x in inside if x.place not in walk.reached]
    return sorted(missed)
