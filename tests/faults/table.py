"""The table of docs/reliability.md, between two marks; the prose around it is written by hand."""

import datetime

BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"
KINDS = ("torn file", "torn tree", "lost file", "false success", "ran twice", "wrong output", "orphan", "left behind", "hang", "panic",
         "no reason", "next run fails")  # fmt: skip


def write(document, rows, options, machine):
    text = document.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    document.write_text(f"{before}{BEGIN}\n{render(rows, options, machine)}{END}{after}")


def render(rows, options, machine):
    how = "every fault" if options.whole and not options.most else f"at most {options.most} faults a row, evenly spread"
    if not options.whole:
        how += "; kills only at calls that change something outside of the process"
    date = datetime.date.today().isoformat()
    lines = [
        f"Measured on {date}, Linux {machine.release}, {machine.machine}; {how}. A cell counts runs; empty is none.",
        "",
        "| job and fault | faults | tried | " + " | ".join(KINDS) + " |",
        "|---|---|---|" + "---|" * len(KINDS),
    ]
    for _, name, there, tried, wrong in rows:
        cells = [str(wrong[kind]) if wrong[kind] else "" for kind in KINDS]
        lines.append(f"| {name} | {there} | {tried} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
