/* The files and links of an archive as the tree of folders that it would unpack to. Links are
 * followed as in a folder: through other links, to folders too, but never in a circle. */
#ifndef NNCLR_IMAGE_SOURCE_TREE_H
#define NNCLR_IMAGE_SOURCE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strings.h"
#include "image/source_entries.h"

typedef enum nnclr_tree_kind {
    NNCLR_TREE_FILE,
    NNCLR_TREE_SYMBOLIC,
    NNCLR_TREE_HARD,   /* until nnclr_tree_settle, which makes it one of the others */
    NNCLR_TREE_NOWHERE /* a hard link to nothing before it */
} nnclr_tree_kind;

typedef struct nnclr_tree_member {
    size_t path, target; /* offsets in the tree's texts; a target as the archive says it */
    nnclr_tree_kind kind;
    size_t content; /* the member that has a file's bytes: itself, or what it is a hard link to */
    /* For the caller; in a member that has its own bytes. */
    bool kept;
    nnclr_source_kind form;
    uint64_t offset, size;
} nnclr_tree_member;

typedef struct nnclr_tree_place {
    const char *path;
    size_t member;
} nnclr_tree_place;

/* Zero-initialise. */
typedef struct nnclr_tree {
    nnclr_tree_member *members; /* in the archive's order */
    size_t count, capacity;
    nnclr_buffer texts;
    nnclr_tree_place *places; /* sorted by path; the last of several members of one path */
    size_t place_count;
    size_t folders; /* at most this many are there without links */
} nnclr_tree;

void nnclr_tree_free(nnclr_tree *tree);
/* Appends a member by its path from the top, without empty parts and ".". A hard link's target is
 * such a path too; NULL: it is a file. */
bool nnclr_tree_add(nnclr_tree *tree, const char *path, const char *target, nnclr_tree_kind kind,
                    nnclr_error *e);
/* Once all members are there. */
bool nnclr_tree_settle(nnclr_tree *tree, nnclr_error *e);

/* A file below the root: its path from there, and whose bytes it has, or why it has none (NULL). */
typedef bool nnclr_tree_visit(void *context, const char *name, nnclr_tree_member *content,
                              const char *why, nnclr_error *e);
/* Goes through all files below `root` ("" is the top) that are not clutter, in no order. */
bool nnclr_tree_walk(nnclr_tree *tree, const char *root, nnclr_tree_visit *visit, void *context,
                     nnclr_error *e);

#endif
