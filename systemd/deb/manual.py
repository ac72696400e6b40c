"""Writes the man page from what the program says of itself: `manual.py BINARY`."""
import json
import subprocess
import sys


def escaped(text):
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "")
    return "\n".join("\\&" + line if line[:1] in (".", "'") else line for line in text.split("\n"))


def names(argument):
    forms = []
    for name in argument.get("names", []):
        dash = "--" if name["kind"] == "long" else "-"
        forms.append(dash + name["name"])
    value = "" if argument["kind"] == "flag" else argument.get("valueName", "")
    if argument["kind"] == "positional":
        return f"\\fI{escaped(value)}\\fR"
    text = ", ".join(f"\\fB{escaped(form)}\\fR" for form in forms)
    return text + (f" \\fI{escaped(value)}\\fR" if value else "")


def discussion(text, out):
    """Paragraphs as they are; indented lines are examples."""
    for block in text.split("\n\n"):
        lines = block.split("\n")
        out.append(".PP")
        is_example = False
        for line in lines:
            if line.startswith("  ") != is_example:
                out.append(".nf" if not is_example else ".fi")
                is_example = not is_example
            out.append(escaped(line))
        if is_example:
            out.append(".fi")


def command(entry, path, out):
    arguments = [a for a in entry.get("arguments", []) if a.get("shouldDisplay", True)]
    if path:
        out.append(f".SS {escaped(' '.join(path))}")
        out.append(escaped(entry.get("abstract", "")))
    if entry.get("discussion"):
        discussion(entry["discussion"], out)
    for argument in arguments:
        if any(name["name"] in ("help", "version") for name in argument.get("names", [])):
            continue
        out.append(".TP")
        out.append(names(argument))
        text = argument.get("abstract", "")
        if argument.get("defaultValue") and argument["kind"] == "option":
            text += f" Default: {argument['defaultValue']}."
        out.append(escaped(text))
    for child in entry.get("subcommands", []):
        if child["commandName"] != "help":
            command(child, path + [child["commandName"]], out)


def main():
    binary = sys.argv[1]
    dump = json.loads(subprocess.run([binary, "--experimental-dump-help"], check=True, capture_output=True, text=True).stdout)
    version = subprocess.run([binary, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    root = dump["command"]
    out = [f'.TH MLMIRROR 1 "" "mlmirror {version}" "User Commands"', ".SH NAME", f"mlmirror \\- {escaped(root['abstract'].rstrip('.'))}",
           ".SH SYNOPSIS", ".B mlmirror", "\\fIcommand\\fR [\\fIoptions\\fR]", ".SH DESCRIPTION"]
    discussion(root["discussion"], out)
    out.append(".SH COMMANDS")
    for child in root.get("subcommands", []):
        if child["commandName"] != "help":
            command(child, [child["commandName"]], out)
    out += [
        ".SH FILES", ".TP", ".I /etc/mlmirror/mlmirror.yaml", "The configuration; of the instance NAME of the service, /etc/mlmirror/NAME.yaml.",
        ".TP", ".I /etc/mlmirror/credentials", "Files with secrets, which the service is given as credentials.",
        ".TP", ".I /var/lib/mlmirror", "The state of the service.",
        ".SH JOURNAL", "Every event has a constant MESSAGE, a MESSAGE_ID that", ".B journalctl \\-\\-catalog",
        "explains, its name in MLMIRROR_EVENT, and its facts in other fields that begin with MLMIRROR_.",
        ".SH SEE ALSO", ".BR journalctl (1),", ".BR systemd.exec (5)",
    ]
    print("\n".join(out))


main()
