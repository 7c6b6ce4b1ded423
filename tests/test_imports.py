"""Which module may import which: the contracts of pyproject.toml, and no circles."""

import graphlib

import pytest
from import_graph import ROOT, CompleteGraphBuilder, complete_graph
from importlinter.api import read_configuration
from importlinter.application.app_config import settings
from importlinter.application.use_cases import lint_imports

CONFIGURATION = str(ROOT / "pyproject.toml")
CONTRACTS = {
    contract["id"]: contract for contract in read_configuration(CONFIGURATION)["contracts_options"]
}


@pytest.fixture
def complete():
    """Let import-linter check the graph with the compiled modules."""
    usual = settings.GRAPH_BUILDER
    settings.configure(GRAPH_BUILDER=CompleteGraphBuilder())
    yield
    settings.configure(GRAPH_BUILDER=usual)


def test_contracts_hold_as_lint_imports_reads_them(capsys):
    assert lint_imports(CONFIGURATION, cache_dir=None), capsys.readouterr().out


@pytest.mark.parametrize("name", CONTRACTS)
@pytest.mark.usefixtures("complete")
def test_contract_holds_with_the_compiled_modules(name, capsys):
    kept = lint_imports(CONFIGURATION, limit_to_contracts=(name,))
    assert kept, capsys.readouterr().out


def test_compiled_modules_are_in_the_graph():
    graph = complete_graph()
    engine = "emul.timing.engine"
    assert f"{engine}.fluid" in graph.find_modules_directly_imported_by(f"{engine}.connections")
    assert f"{engine}.causes" in graph.find_modules_directly_imported_by("emul.timing")
    assert graph.find_modules_that_directly_import("scipy") == {"emul.measured.fitting"}


def imports_between_files():
    """Return what every file imports, but for the arrows that are known to run back."""
    graph = complete_graph()
    known = {tuple(arrow.split(" -> ")) for arrow in CONTRACTS["rooms"]["ignore_imports"]}
    return {
        importer: {
            imported
            for imported in graph.find_modules_directly_imported_by(importer)
            if (importer, imported) not in known
        }
        for importer in graph.modules
    }


def circle_in(imports):
    """Return the modules of one circle, in order, or None."""
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return None


def test_no_files_import_each_other_in_a_circle():
    circle = circle_in(imports_between_files())
    assert circle is None, " <- ".join(circle)
