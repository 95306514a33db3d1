"""The arithmetics under which the paper is tried, and where they are tried."""

import re
from pathlib import Path

import check_machines
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOW = ROOT / ".github/workflows/weekly.yml"


def test_the_weekly_workflow_tries_each_arithmetic_once():
    parts = yaml.safe_load(WORKFLOW.read_text())["jobs"]["machines"]["strategy"]["matrix"]["arithmetic"]
    tried = [name for part in parts for name in check_machines.ARITHMETICS if part in name]
    assert sorted(tried) == sorted(check_machines.ARITHMETICS)


def test_the_pages_that_ci_reads_are_those_built_under_its_arithmetic():
    script = (ROOT / ".ci/run").read_text()
    (part,) = re.findall(r'^make check-machines MACHINES="(.+?)" .*--site', script, re.MULTILINE)
    (folder,) = re.findall(r'^export LUX_BUILD="\$PWD/(.+)"$', script, re.MULTILINE)
    (name,) = (name for name in check_machines.ARITHMETICS if part in name)
    assert check_machines.folder_of(name) == ROOT / folder


def test_an_arithmetic_tells_every_library_and_keeps_what_the_reader_has_set(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=somewhere")
    variables = check_machines.environment("SSE4.2, one thread")
    assert variables["XLA_FLAGS"].split()[0] == "--xla_dump_to=somewhere"
    assert "--xla_cpu_max_isa=SSE4_2" in variables["XLA_FLAGS"]
    assert variables["OPENBLAS_CORETYPE"] == "Nehalem"
    assert variables["OMP_NUM_THREADS"] == "1"
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    assert "OPENBLAS_CORETYPE" not in check_machines.environment("this machine's own, two threads")
