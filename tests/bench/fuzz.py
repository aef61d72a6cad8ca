"""Fuzzes every decoder, guided by coverage: no crash, no hang, no wrong reading, whatever bytes come.

    pip install atheris                                                  not a dependency of envmon or of its tests
    python tests/bench/fuzz.py --minutes 10 --corpus /var/tmp/envmon-fuzz            every target, one after another
    python tests/bench/fuzz.py --minutes 1 sip snmp
    python tests/bench/fuzz.py --replay sip /var/tmp/envmon-fuzz/sip.finding.hex     one input again

What must hold is written in tests/wire/fuzz_wire.py and fuzz_product.py; the short run of the test suite checks the
same. The corpus is kept between runs. Exit 1 on a finding: its input is saved as hex beside the corpus, and the command
that repeats it is printed.
"""

import argparse
import importlib
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TARGETS = {
    **dict.fromkeys(
        ("modbus", "modbus_rtu", "snmp", "snmp_get", "snmp_v3", "snmp_usm", "sip", "sip_stream", "sip_login"),
        "fuzz_wire",
    ),
    **dict.fromkeys(("snmp_walk", "traps", "decode", "config", "profile"), "fuzz_product"),
}
TRACED = ["envmon", "pysnmp.proto", "pysnmp.entity.rfc3413", "pyasn1.codec.ber", "yaml"]
LONGEST_S = 30  # an input that takes longer hangs, on however busy a machine; the suite's short run allows 5 s of CPU
MOST_MB = 2048
MOST_BYTES = {"config": 8000, "profile": 8000, "sip": 2000, "sip_stream": 4000}


def main() -> int:
    """Run, or repeat one input. Returns the exit status."""
    options = _options()
    if options.child:
        _fuzz(options.child, [*options.rest, *options.targets])
    if options.replay:
        name, path = options.replay
        _target(name).check(bytes.fromhex(Path(path).read_text(encoding="ascii")))
        print(f"{name}: nothing is wrong with this input")
        return 0
    corpus = Path(options.corpus or tempfile.mkdtemp(prefix="envmon-fuzz-"))
    unknown = sorted(set(options.targets) - set(TARGETS))
    if unknown:
        print(f"no such target: {', '.join(unknown)}; there are {', '.join(TARGETS)}", file=sys.stderr)
        return 2
    found = [name for name in options.targets or TARGETS if not _run(name, corpus, options.minutes)]
    print(f"findings in: {', '.join(found)}" if found else "no findings")
    return 1 if found else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)} (all)")
    parser.add_argument("--minutes", type=float, default=10.0, help="for each target (10)")
    parser.add_argument("--corpus", help="directory of inputs that reached something new (a new one)")
    parser.add_argument("--replay", nargs=2, metavar=("TARGET", "FILE"), help="repeat one saved input")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options, options.rest = parser.parse_known_args()
    if options.rest and not options.child:
        parser.error(f"unknown: {' '.join(options.rest)}")
    return options


def _run(name: str, corpus: Path, minutes: float) -> bool:
    """Fuzz one target in a process of its own. Returns whether nothing was found."""
    inputs = corpus / name
    inputs.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(_target(name).seeds()):
        (inputs / f"seed-{number}").write_bytes(seed)
    log, crash = corpus / f"{name}.log", corpus / f"{name}.finding"
    crash.unlink(missing_ok=True)
    command = [
        *(sys.executable, __file__, "--child", name),
        *(f"-max_total_time={int(minutes * 60)}", f"-timeout={LONGEST_S}", f"-rss_limit_mb={MOST_MB}"),
        *(f"-max_len={MOST_BYTES.get(name, 1500)}", f"-exact_artifact_path={crash}", "-print_final_stats=1"),
        str(inputs),
    ]
    began = time.monotonic()
    with log.open("wb") as said:
        status = subprocess.run(command, stdout=said, stderr=said, check=False).returncode
    text = log.read_text(encoding="utf-8", errors="replace")
    done = re.search(r"number_of_executed_units: (\d+)", text)
    reached = re.findall(r"cov: (\d+)", text)
    print(
        f"{name:11} {int(done[1]) if done else 0:>10} inputs in {time.monotonic() - began:5.0f} s, "
        f"coverage {reached[-1] if reached else '?'}, {len(list(inputs.iterdir()))} in the corpus",
        flush=True,
    )
    if status == 0:
        return True
    _tell(name, crash, log, text)
    return False


def _tell(name: str, crash: Path, log: Path, text: str) -> None:
    why = re.search(r"=== Uncaught Python exception: ===\n(.*)", text) or re.search(r"ERROR: libFuzzer: (.*)", text)
    print(f"{name}: FOUND: {why[1] if why else f'the fuzzer ended; see {log}'}")
    if crash.exists():
        saved = crash.with_suffix(".finding.hex")
        saved.write_text(crash.read_bytes().hex() + "\n", encoding="ascii")
        print(f"  again: {sys.executable} {Path(__file__).relative_to(ROOT)} --replay {name} {saved}")


def _target(name: str) -> Any:
    """Load one target; for the fuzzer its imports are instrumented first."""
    for path in (ROOT, ROOT / "tests" / "wire"):
        if str(path) not in sys.path:
            sys.path.insert(0, str(path))
    module = importlib.import_module(TARGETS[name])
    return next(target for target in module.TARGETS if target.name == name)


def _fuzz(name: str, options: list[str]) -> None:
    """Hand the process over to the fuzzer; it never returns."""
    try:
        import atheris
    except ImportError:
        sys.exit("atheris is not installed: pip install atheris")
    os.environ.setdefault("PYTHONHASHSEED", "0")
    with atheris.instrument_imports(include=TRACED):
        target = _target(name)
    target.check(target.seeds()[0])  # what is made once is no input's fault
    atheris.Setup([sys.argv[0], *options], target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
