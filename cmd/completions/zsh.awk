# Completions for zsh; reads what options.awk leaves.

function quoted(word) { # inside single quotes
    gsub(/'/, "'\\''", word)
    return word
}

function explained(sentence) { # inside [ ]
    gsub(/[][\\]/, "\\\\&", sentence)
    return quoted(sentence)
}

function message(word) { # between colons
    gsub(/[:\\]/, "\\\\&", word)
    return quoted(word)
}

function value(i) { # what follows the names of an option
    if (kind[i] == "flag")
        return ""
    if (kind[i] == "words")
        return ":" name[i] ":(" choices[i] ")"
    return ":" message(argument[i]) ":" (kind[i] == "file" ? "_files" : " ")
}

END {
    if (!options)
        exit 1
    print "#compdef " program
    print "_arguments -s -S \\"
    for (i = 1; i <= options; i++) {
        rest = "[" explained(text[i]) "]" value(i) "'"
        equals = kind[i] == "flag" ? "" : "="
        if (letter[i] == "")
            print "    '--" name[i] equals rest " \\"
        else
            print "    '(-" letter[i] " --" name[i] ")'{-" letter[i] (equals == "" ? "" : "+") ",--" name[i] equals "}'" \
                rest " \\"
    }
    print "    '*:file:_files'"
}
