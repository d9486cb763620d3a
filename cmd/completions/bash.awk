# Completions for bash; reads what options.awk leaves. File names are left to readline, which knows
# about blanks and quotes in them: COMPREPLY stays empty there.

function shown(i, between) { # both names of an option
    return (letter[i] == "" ? "" : "-" letter[i] between) "--" name[i]
}

function names_of(wanted,    i, names) { # the options with such values, as a pattern of case
    for (i = 1; i <= options; i++)
        if (kind[i] == wanted)
            names = names (names == "" ? "" : " | ") shown(i, " | ")
    return names
}

END {
    if (!options)
        exit 1
    called = "_" program
    gsub(/-/, "_", called)
    for (i = 1; i <= options; i++)
        all = all (i == 1 ? "" : " ") shown(i, " ")
    print "# bash completion for " program
    print called "() {"
    print "    local i word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words="
    print "    COMPREPLY=()"
    print "    # --name=value is three words here"
    print "    if [[ $word == = ]]; then"
    print "        word="
    print "    elif [[ $before == = ]]; then"
    print "        before=${COMP_WORDS[COMP_CWORD - 2]}"
    print "    fi"
    print "    for ((i = 1; i < COMP_CWORD; i++)); do"
    print "        [[ ${COMP_WORDS[i]} != -- ]] || return 0 # only operands after it"
    print "    done"
    print "    case $before in"
    for (i = 1; i <= options; i++)
        if (kind[i] == "words")
            print "    " shown(i, " | ") ") words='" choices[i] "' ;;"
    if (names_of("file") != "")
        print "    " names_of("file") ") return 0 ;;"
    if (names_of("free") != "")
        print "    " names_of("free") ") compopt +o default; return 0 ;;"
    print "    *)"
    print "        [[ $word == -* ]] || return 0"
    print "        words='" all "' ;;"
    print "    esac"
    print "    # no file name if no word fits"
    print "    compopt +o default"
    print "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")"
    print "}"
    print "complete -o default -F " called " " program
}
