# Reads what a program's --help prints, which comes from its option table, so that the completions of
# a shell offer what the program takes and nothing else:
#
#   --help | awk -v program=NAME -f cmd/completions/options.awk -f cmd/completions/SHELL.awk
#
# Leaves for the shell's file, for i from 1 to options:
#
#   name[i]      the long name, without dashes
#   letter[i]    the short name, or ""
#   argument[i]  as --help names it; "" if the option takes no value
#   kind[i]      of the value: "flag" none, "words" one of choices[i] (separated by blanks), "file" the
#                name of a file or folder, "free" anything else
#   text[i]      the sentence, without the default, which may be this machine's
#
# A value is a choice if the argument lists words in lower case, a|b|c. It is a file if the
# argument is FILE or PATH, ends as files do (OUT.png), or is an operand's name in the usage, since
# operands are files.

/^Usage: / { usage = 1 }
usage && !NF { usage = 0 }
usage {
    line = $0
    while (match(line, /[A-Z][A-Z][A-Z]+/)) {
        operand[substr(line, RSTART, RLENGTH)] = 1
        line = substr(line, RSTART + RLENGTH)
    }
}

# "  -o, --output FILE        the sentence", which may begin on the next line
/^  (-., |    )--/ {
    options++
    letter[options] = substr($0, 3, 1) == "-" ? substr($0, 4, 1) : ""
    rest = substr($0, 9)
    match(rest, /^[^ ]+/)
    name[options] = substr(rest, 1, RLENGTH)
    rest = substr(rest, RLENGTH + 1)
    if (match(rest, /^ [^ ]+/)) {
        argument[options] = substr(rest, 2, RLENGTH - 1)
        rest = substr(rest, RLENGTH + 1)
    }
    sub(/^ +/, "", rest)
    text[options] = rest
    within = 1
    next
}
within && /^           / {
    sub(/^ +/, "")
    text[options] = text[options] (text[options] == "" ? "" : " ") $0
    next
}
{ within = 0 }

function kind_of(value) {
    if (value == "")
        return "flag"
    if (value ~ /^[a-z0-9+-]+(\|[a-z0-9+-]+)+$/)
        return "words"
    return value == "FILE" || value == "PATH" || value ~ /[A-Z]\.[a-z]/ || value in operand ? "file" : "free"
}

END {
    for (i = 1; i <= options; i++) {
        kind[i] = kind_of(argument[i])
        choices[i] = ""
        if (kind[i] == "words") {
            choices[i] = argument[i]
            gsub(/\|/, " ", choices[i])
        }
        sub(/ *\(default: [^)]*\)$/, "", text[i])
    }
    if (!options) {
        print program ": no options in what --help prints" | "cat >&2"
        exit 1
    }
}
