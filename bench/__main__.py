"""`python -m bench [NAME [OPTION ...]]`: all measurements against other software in one run, or one with options."""

import sys

from bench import benches


def main(arguments: list[str]) -> int:
    """Run all benches, or the one that is named with the options that follow it; 2 if there is no such bench."""
    found = benches()
    if not arguments:
        for name, bench in found.items():
            print(f"# {name}", flush=True)
            bench.main([])
        return 0
    name, *options = arguments
    if name not in found:
        print(f"There is no bench {name}: there are {', '.join(found)}.", file=sys.stderr)
        return 2
    found[name].main(options)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
