/* A folder, a list or an archive of picture files, or files of many pictures, as a numbered
 * sequence with classes: what nnclr-prep packs.
 *
 * A folder is read as torchvision's ImageFolder does: its subfolders are the classes, sorted by
 * code point; inside a class files sort by (directory, file name); links are followed, cycles are
 * not. A folder without subfolders that hold files is flat: no labels, files sorted by name. An
 * archive is read in the same order, whatever its own (its members are spooled), and links in it
 * are followed as in the folder. Files and folders that are hidden (a name that starts with a dot)
 * or that systems leave are passed over, and so are files beside class folders, and those that
 * belong to a picture but are not one: among them NAME.cls is the label of the pictures NAME.*, and
 * then folders are not classes. Several inputs follow each other as given. A picture file given as
 * an input is one entry without label.
 *
 * Files of many pictures (pixel_file.h) are inputs too, by themselves or in a folder or archive,
 * which then holds no others: record after record in the order of the files' names, with the labels
 * that they have. Such a file counts as a folder of its pictures: "test_batch.bin/000017". Classes
 * are named by the file beside them that says so, or else numbered, and all of them count. `root`
 * may also name such a file, or end in a part of the set: "train" is data_batch_*.bin, train*;
 * "test" is test*, t10k*; "unlabeled" is unlabeled*. A picture comes out encoded as a PNG.
 *
 * A list keeps its own order. Its labels, and those of .cls, are class names; if all of them are
 * plain numbers, they are the labels themselves, and the classes are named 0, 1, ... up to the
 * largest. */
#ifndef NNCLR_IMAGE_PICTURE_SOURCE_H
#define NNCLR_IMAGE_PICTURE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/files.h"
#include "base/strings.h"
#include "io/input.h"

typedef struct nnclr_source nnclr_source;

typedef struct nnclr_source_options {
    const char *const *inputs; /* folders or archives; "-" (once): an archive on stdin */
    size_t input_count;
    const nnclr_input *opened; /* one for each input: an archive that is open already, and is read
                                  in its place (otherwise its fd is -1); NULL: none is */
    const char *root;          /* only what is below this path in each input; NULL: all */
    const char *list; /* file of PATH [TAB label] lines, relative to the one input folder, or to the
                         current folder if there is no input; "-": stdin; NULL: none */
    /* Files of lines or tables that name pictures, as nnclr-prep(1) says: these are left out, and
     * these have another class; "-": stdin; NULL: none. A name that is not there is refused. */
    const char *exclude, *relabel;
    size_t file_limit; /* bytes; a larger file is an unreadable picture */
    /* Files that the caller is going to write: that one of them is among those that are read is
     * wrong usage. */
    const nnclr_file_id *outputs;
    size_t output_count;
} nnclr_source_options;

typedef struct nnclr_source_entry {
    const char *name; /* path below the input (and root), as stored in the shard */
    int64_t label;    /* -1: none */
} nnclr_source_entry;

/* The class names of several inputs are united and sorted. No entry at all is an error. */
nnclr_source *nnclr_source_open(const nnclr_source_options *options, nnclr_error *e);
void nnclr_source_close(nnclr_source *source); /* NULL is fine */
size_t nnclr_source_count(const nnclr_source *source);
nnclr_source_entry nnclr_source_entry_at(const nnclr_source *source, size_t i);
/* A training part and another one came out of one folder or archive, and neither was named. */
bool nnclr_source_mixes_parts(const nnclr_source *source);
/* How many pictures are beside folders of classes and are passed over; *first: the first one. */
size_t nnclr_source_beside(const nnclr_source *source, const char **first);
/* The bytes of the name of the one folder that is all classes, if there are pictures in folders
 * inside it, which were more likely meant; otherwise 0. */
size_t nnclr_source_only_folder(const nnclr_source *source, const char **folder);
/* How many pictures `exclude` and `relabel` changed. */
size_t nnclr_source_excluded(const nnclr_source *source);
size_t nnclr_source_relabelled(const nnclr_source *source);
size_t nnclr_source_class_count(const nnclr_source *source);
const char *nnclr_source_class(const nnclr_source *source, size_t label);
/* The encoded bytes of entry i into `out` (emptied first); of what does not begin as a picture
 * does, only the first NNCLR_PICTURE_START (decode.h). What is not a regular file (a directory
 * named x.jpg, a FIFO, a dangling link) is an error, and is never opened in a way that blocks. The
 * message begins with the file's path. Any number of threads may call it. */
bool nnclr_source_read(nnclr_source *source, size_t i, nnclr_buffer *out, nnclr_error *e);

#endif
