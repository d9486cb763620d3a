# Programs that MPI starts several times: who may, and that they train as one. Tests that need MPI are
# skipped without nnclr-mpi.so (make MPI=1) or mpirun; the others say what MPI's environment would.
load helpers

as_rank() { # RANK RANKS COMMAND...
    env OMPI_COMM_WORLD_RANK="$1" OMPI_COMM_WORLD_SIZE="$2" "${@:3}"
}

@test "programs that work alone refuse to be started several times, and say so once" {
    local program
    for program in prep queue-inspect lineval views export embed; do
        expect 2 as_rank 0 3 "nnclr-$program"
        expect_message "nnclr-$program" "MPI started it 3 times, and it works alone: start it without mpirun"
    done
    expect 0 as_rank 1 3 nnclr-prep --version
    [ -z "$output$stderr" ]
    expect 0 as_rank 0 3 nnclr-prep --version
    [ "$output" = "nnclr-prep 0.1.0" ]
    # One alone is what it always was.
    expect 0 as_rank 0 1 nnclr-prep -q -o s.tar.zst "$(shapes 10)"
    expect 0 env PMIX_RANK=0 SLURM_STEP_NUM_TASKS=1 nnclr-prep --list-contents s.tar.zst
    expect 2 env PMI_RANK=0 PMI_SIZE=2 nnclr-prep --list-contents s.tar.zst
}
