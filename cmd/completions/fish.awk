# Completions for fish; reads what options.awk leaves.

function quoted(word) {
    gsub(/[\\']/, "\\\\&", word)
    return "'" word "'"
}

END {
    if (!options)
        exit 1
    print "# fish completion for " program
    for (i = 1; i <= options; i++) {
        line = "complete -c " program (letter[i] == "" ? "" : " -s " letter[i]) " -l " name[i]
        if (kind[i] == "words")
            line = line " -x -a " quoted(choices[i])
        else if (kind[i] == "file")
            line = line " -r -F"
        else if (kind[i] == "free")
            line = line " -x"
        print line " -d " quoted(text[i])
    }
}
