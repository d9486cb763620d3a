/* The parts of a picture source, one on top of the other: the items (source_items.c); the files
 * that gather them (source_folder.c, source_archive.c, source_list.c), put pictures in place of
 * files of many (source_pixels.c), know what is beside pictures (source_sides.c), find their
 * classes and their order (source_classes.c), and change what reports found wrong
 * (source_changes.c); and picture_source.c, which calls these in turn and
 * serves the entries. */
#ifndef NNCLR_IMAGE_SOURCE_ENTRIES_H
#define NNCLR_IMAGE_SOURCE_ENTRIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strings.h"
#include "image/picture_source.h"
#include "image/pixel_file.h"

typedef enum nnclr_source_kind {
    NNCLR_SOURCE_FILE,    /* BASE/NAME, or NAME if the input's base is empty */
    NNCLR_SOURCE_SPOOLED, /* `size` bytes at `offset` of the spool */
    NNCLR_SOURCE_LARGE,   /* an archive member over the limit: not kept */
    NNCLR_SOURCE_MISSING, /* only while an archive is read: a link leads there */
    NNCLR_SOURCE_BROKEN,  /* cannot be read; the text at `offset` says why */
    NNCLR_SOURCE_PIXELS   /* the pixels at `offset` of pixel file `size` */
} nnclr_source_kind;

/* Items that are beside what was asked for are kept until the files of many pictures are known. */
typedef enum nnclr_source_role {
    NNCLR_SOURCE_ASKED,    /* an ordinary one */
    NNCLR_SOURCE_CHOSEN,   /* a file of many pictures that itself, or whose part, was named */
    NNCLR_SOURCE_COMPANION /* it may hold labels or class names */
} nnclr_source_role;

/* Texts are offsets into `texts`, which moves while it grows. */
typedef struct nnclr_source_item {
    size_t name;
    size_t class_size; /* bytes of `class`; 0: none */
    size_t class_name; /* for folders and archives the start of the name */
    int64_t label;
    nnclr_source_kind kind;
    nnclr_source_role role;
    uint32_t input;
    uint64_t offset, size;
} nnclr_source_item;

/* A file of many pictures. */
typedef struct nnclr_pixel_file {
    nnclr_pixel_layout layout;
    int fd;      /* of the spool, or its own */
    size_t name; /* text, for messages */
} nnclr_pixel_file;

/* A class that counts even if no entry has it. */
typedef struct nnclr_source_class_name {
    size_t text, size;
} nnclr_source_class_name;

struct nnclr_source {
    nnclr_buffer texts; /* NUL-terminated */
    nnclr_source_item *items;
    size_t count, capacity;
    char **bases; /* one an input: the folder that its names are below, or the archive's path */
    size_t base_count;
    const nnclr_input *opened; /* one an input, in its place if it is open; NULL: none is */
    char **classes;
    size_t class_count;
    nnclr_pixel_file *pixel_files;
    size_t pixel_file_count, pixel_file_capacity;
    nnclr_source_class_name *known_classes;
    size_t known_class_count, known_class_capacity;
    bool mixes_parts;
    bool *labels_given;          /* one an input: files beside the pictures say their labels */
    size_t beside, first_beside; /* pictures beside class folders: how many, the first one's name */
    size_t excluded, relabelled; /* items */
    size_t example;              /* text: a file of an archive, */
    bool has_example;            /* if there is one */
    int spool;                   /* -1: none */
    uint64_t spool_size;
    size_t file_limit;
    const nnclr_file_id *outputs; /* while the source is opened: files that must not be in it */
    size_t output_count;
};

/* ---- source_items.c: the table ---- */

/* Appends a text; *at is its offset. */
bool nnclr_source_text(nnclr_source *source, const char *text, size_t size, size_t *at,
                       nnclr_error *e);
const char *nnclr_source_text_at(const nnclr_source *source, size_t at);
/* Appends an item (label -1, file) with that name; *item may be changed until the next one. */
bool nnclr_source_add(nnclr_source *source, uint32_t input, const char *name, size_t size,
                      nnclr_source_item **item, nnclr_error *e);

/* Refuses a file that is to be written. */
bool nnclr_source_refuse_output(const nnclr_source *source, const nnclr_source_item *item,
                                nnclr_error *e);
/* nnclr_source_add for a file below the input's base, which must not be one to be written. */
bool nnclr_source_add_file(nnclr_source *source, uint32_t input, const char *name, size_t size,
                           nnclr_source_item **item, nnclr_error *e);
/* The same for one that a folder happens to hold: if it is to be written it is refused only if it
 * is a picture or a label. Otherwise it is what an earlier command left there, and passed over. */
bool nnclr_source_add_met(nnclr_source *source, uint32_t input, const char *name, size_t size,
                          nnclr_error *e);

/* ---- source_items.c: the bytes of a file, which may be packed by gzip, or of the spool ---- */

typedef struct nnclr_item_content {
    int fd; /* its own, or the spool's */
    uint64_t start, size;
} nnclr_item_content;

/* Appends a file's path, a member's name. */
bool nnclr_item_path(const nnclr_source *source, const nnclr_source_item *item, nnclr_buffer *path,
                     nnclr_error *e);
/* To be closed even if this fails. */
bool nnclr_item_open(const nnclr_source *source, const nnclr_source_item *item,
                     nnclr_item_content *c, nnclr_error *e);
void nnclr_item_close(const nnclr_source *source, const nnclr_item_content *c);
/* Do its first bytes begin a picture? Those of one that cannot be read do not, unless that is the
 * system's fault, which is an error. */
bool nnclr_item_is_picture(const nnclr_source *source, const nnclr_source_item *item, bool *picture,
                           nnclr_error *e);

/* ---- source_items.c: names ---- */

const char *nnclr_base_name(const char *path); /* what follows the last slash */
/* What the name of a file of many pictures says it is. */
typedef enum nnclr_pixel_name {
    NNCLR_NO_PIXELS, /* that of no such file */
    NNCLR_CIFAR_NAME,
    NNCLR_STL10_NAME,
    NNCLR_IDX_NAME
} nnclr_pixel_name;
nnclr_pixel_name nnclr_source_pixel_name(const char *name);
/* Is that the name of a file that may say more of such a file? */
bool nnclr_source_is_companion_name(const char *name);
bool nnclr_source_is_idx_name(const char *name); /* and then maybe packed by gzip */
/* The part of its set ("train", "test", "unlabeled") that a file of many pictures is, by its name;
 * NULL: none. */
const char *nnclr_source_part_of(const char *name);
/* The last component of `root` if it names such a part, otherwise NULL. */
const char *nnclr_source_part_in(const char *root);
/* Is that the name of a file with the label of a picture? More bytes than these are not a label. */
bool nnclr_source_is_label_name(const char *name);
enum { NNCLR_LABEL_LIMIT = 1000 };

/* ---- gathering ---- */

/* They append items in no particular order, the list's in the list's order. `rooted`: the input's
 * base is a root below it. */
bool nnclr_source_gather_folder(nnclr_source *source, uint32_t input, bool rooted, nnclr_error *e);
bool nnclr_source_gather_archive(nnclr_source *source, uint32_t input, const char *root,
                                 nnclr_error *e);
bool nnclr_source_gather_list(nnclr_source *source, uint32_t input, const char *list,
                              nnclr_error *e);

/* Part of a text; at NULL: there is none. */
typedef struct nnclr_span {
    const char *at;
    size_t size;
} nnclr_span;

/* What a line of a list says, until the next one; name and class end in a NUL. */
typedef struct nnclr_listed {
    nnclr_span name, class_name;
    bool stays; /* a table of duplicates says so */
} nnclr_listed;

typedef struct nnclr_list_reader {
    bool tables; /* a line that names no picture may be the header of a table: names and classes are
                    then in its columns, up to an empty line or the next header */
    bool (*is_there)(void *context, const char *name, bool *there, nnclr_error *e);
    bool (*take)(void *context, const nnclr_listed *line, nnclr_error *e);
    void *context;
} nnclr_list_reader;

/* Hands out the lines of a file, or of standard input if it is "-". Where a name can be read in
 * several ways, it is read as one that is there. */
bool nnclr_source_read_list(const char *list, const nnclr_list_reader *reader, nnclr_error *e);

/* Gives items the classes that one list has for them, and drops those that another one names; NULL:
 * there is none. */
bool nnclr_source_change(nnclr_source *source, const char *exclude_list, const char *relabel_list,
                         nnclr_error *e);

/* Is it what systems leave in folders, or hidden: a part of a path that is passed over? */
bool nnclr_source_is_clutter(const char *name, size_t size);
/* Takes the labels that files beside the pictures say, and drops the items that belong to pictures
 * and are none. */
bool nnclr_source_take_sides(nnclr_source *source, nnclr_error *e);

/* Sorts items as ImageFolder does, takes their folders for classes, and drops files beside these.
 */
bool nnclr_source_arrange(nnclr_source *source, nnclr_error *e);
/* Names the classes, and gives items their labels. */
bool nnclr_source_set_classes(nnclr_source *source, nnclr_error *e);

/* Replaces files of many pictures with their pictures, among the items of one input: those from
 * `first` on. Names of asked items are relative to `root`, those of chosen ones to the folder of
 * `root`, those of companions to neither; NULL: all to the same. */
bool nnclr_source_expand(nnclr_source *source, uint32_t input, size_t first, const char *root,
                         nnclr_error *e);
bool nnclr_source_read_pixels(const nnclr_source *source, const nnclr_source_item *item,
                              nnclr_buffer *out, nnclr_error *e);

#endif
