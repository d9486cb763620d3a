#include "train/weight_names.h"

#include <stdio.h>
#include <string.h>

enum {
    NETWORKS_MOST = 4, /* of a file, that a message names */
    STARTS_MOST = 6,   /* of names, that a message shows */
    CHILD_OF_RESNET = 4 /* the number of layer1 after conv1, bn1, relu and maxpool */,
    CHILD_OF_LIGHTLY = 2 /* and after conv1 and bn1 alone */
};

/* A block's first convolution, by which a network is found. */
#define BLOCK "0.conv1.weight"

/* ---- from torchvision's names ---- */

static bool starts_with(const char *name, const char *start) {
    return strncmp(name, start, strlen(start)) == 0;
}

/* "conv1.weight" -> "0.weight", "layer2.1.bn1.bias" -> "5.1.bn1.bias" */
static void number(const nnclr_weight_names *names, const char *name, char *out, size_t size) {
    static const char conv[] = "conv1.", norm[] = "bn1.", stage[] = "layer";
    const char digit = starts_with(name, stage) ? name[sizeof stage - 1] : '0';
    if (names->first_stage > 0 && starts_with(name, conv))
        snprintf(out, size, "0.%s", name + sizeof conv - 1);
    else if (names->first_stage > 0 && starts_with(name, norm))
        snprintf(out, size, "1.%s", name + sizeof norm - 1);
    else if (names->first_stage > 0 && digit >= '1' && digit <= '9')
        snprintf(out, size, "%d%s", names->first_stage + digit - '1', name + sizeof stage);
    else
        snprintf(out, size, "%s", name);
}

nnclr_weight_name nnclr_weight_name_of(const nnclr_weight_names *names, const char *name) {
    static const char downsample[] = "downsample.";
    char numbered[NNCLR_WEIGHT_NAME - NNCLR_WEIGHT_PREFIX];
    nnclr_weight_name made;
    number(names, name, numbered, sizeof numbered);
    const char *at = names->shortcut ? strstr(numbered, downsample) : NULL;
    if (at)
        snprintf(made.text, sizeof made.text, "%s%.*sshortcut.%s", names->prefix,
                 (int)(at - numbered), numbered, at + sizeof downsample - 1);
    else
        snprintf(made.text, sizeof made.text, "%s%s", names->prefix, numbered);
    return made;
}

static const nnclr_tensor_info *find(const nnclr_tensor_reader *reader,
                                     const nnclr_weight_names *names, const char *name) {
    return nnclr_tensor_reader_find(reader, nnclr_weight_name_of(names, name).text);
}

/* ---- which network ---- */

static const struct {
    const char *block;
    int first_stage;
} ways[] = {{"layer1." BLOCK, 0}, {"4." BLOCK, CHILD_OF_RESNET}, {"2." BLOCK, CHILD_OF_LIGHTLY}};
enum { WAYS = sizeof ways / sizeof *ways };

/* Whether `name` is the block, named in that way, below a prefix, which is put into *names. A
 * checkpoint's momentum has the same names as the network, and is skipped. */
static bool is_block(const char *name, int way, nnclr_weight_names *names) {
    const size_t size = strlen(name), tail = strlen(ways[way].block);
    if (size < tail || strcmp(name + size - tail, ways[way].block) != 0 ||
        size - tail >= sizeof names->prefix || starts_with(name, "optim."))
        return false;
    *names = (nnclr_weight_names){.first_stage = ways[way].first_stage};
    memcpy(names->prefix, name, size - tail);
    return size == tail || name[size - tail - 1] == '.';
}

/* The third stage in lightly's kind of Sequential has the number that the first has in the other
 * kind. */
static bool is_network(const nnclr_tensor_reader *reader, nnclr_weight_names *names) {
    if (names->first_stage == CHILD_OF_RESNET) {
        nnclr_weight_names other = *names;
        other.first_stage = CHILD_OF_LIGHTLY;
        if (find(reader, &other, "layer1." BLOCK))
            return false;
    }
    names->shortcut = true;
    names->shortcut = find(reader, names, "layer2.0.downsample.0.weight") != NULL;
    return true;
}

/* Finds all networks of the file, or some of them if there are many; returns how many. */
static int find_networks(const nnclr_tensor_reader *reader,
                         nnclr_weight_names networks[NETWORKS_MOST]) {
    int count = 0;
    for (size_t i = 0; i < nnclr_tensor_reader_count(reader) && count < NETWORKS_MOST; i++) {
        const char *name = nnclr_tensor_reader_info(reader, i)->name;
        for (int way = 0; way < WAYS && count < NETWORKS_MOST; way++)
            count += is_block(name, way, &networks[count]) && is_network(reader, &networks[count]);
    }
    return count;
}

/* ---- refusals ---- */

/* "patch_embed., blocks. and others" */
static void list_starts(const nnclr_tensor_reader *reader, char *text, size_t size) {
    const char *seen[STARTS_MOST];
    int count = 0;
    size_t used = 0;
    bool more = false;
    text[0] = '\0';
    for (size_t i = 0; i < nnclr_tensor_reader_count(reader) && !more; i++) {
        const char *name = nnclr_tensor_reader_info(reader, i)->name;
        const size_t length = strcspn(name, ".") + (strchr(name, '.') != NULL);
        bool known = false;
        for (int k = 0; k < count && !known; k++)
            known = strncmp(seen[k], name, length) == 0;
        if (known)
            continue;
        more = count == STARTS_MOST || used + length + 3 > size;
        if (more)
            break;
        seen[count++] = name;
        used += (size_t)snprintf(text + used, size - used, "%s%.*s", used ? ", " : "", (int)length,
                                 name);
    }
    if (more && size - used > sizeof ", ...")
        snprintf(text + used, size - used, ", ...");
}

static bool refuse_all(const nnclr_tensor_reader *reader, nnclr_error *e) {
    char starts[200];
    list_starts(reader, starts, sizeof starts);
    return nnclr_fail(e, NNCLR_ERROR_INPUT,
                      "%s: there is no tensor layer1." BLOCK ", below any prefix, nor 4." BLOCK
                      " as lightly numbers it: these are not the weights of a ResNet under "
                      "torchvision's names; its names begin with %s",
                      nnclr_tensor_reader_path(reader), starts);
}

/* "--prefix a. or --prefix b." */
static void list_networks(const nnclr_weight_names *networks, int count, char *text, size_t size) {
    size_t used = 0;
    for (int i = 0; i < count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s--prefix %s",
                                 i == 0           ? ""
                                 : i + 1 == count ? " or "
                                                  : ", ",
                                 networks[i].prefix[0] ? networks[i].prefix : "''");
}

static bool choose(const nnclr_tensor_reader *reader, const char *wanted,
                   const nnclr_weight_names *networks, int count, nnclr_weight_names *names,
                   nnclr_error *e) {
    const char *path = nnclr_tensor_reader_path(reader);
    char text[NETWORKS_MOST * (NNCLR_WEIGHT_PREFIX + 16)];
    const size_t size = wanted ? strlen(wanted) : 0;
    for (int i = 0; wanted && i < count; i++) {
        const size_t length = strlen(networks[i].prefix);
        if (strncmp(networks[i].prefix, wanted, size) == 0 &&
            (length == size || (length == size + 1 && size > 0))) {
            *names = networks[i];
            return true;
        }
    }
    list_networks(networks, count, text, sizeof text);
    if (wanted)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "%s: there is no ResNet below \"%s\": give %s",
                          path, wanted, text);
    return nnclr_fail(e, NNCLR_ERROR_USAGE, "%s: it holds more than one network: give %s", path,
                      text);
}

bool nnclr_weight_names_find(const nnclr_tensor_reader *reader, const char *wanted,
                             nnclr_weight_names *names, nnclr_error *e) {
    nnclr_weight_names networks[NETWORKS_MOST];
    if (nnclr_tensor_reader_metadata(reader, "nnclr.kind")) {
        *names = (nnclr_weight_names){.prefix = "backbone."};
        return !wanted ||
               nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "%s: is a checkpoint, whose names are known: leave --prefix out",
                          nnclr_tensor_reader_path(reader));
    }
    const int count = find_networks(reader, networks);
    if (count == 0)
        return refuse_all(reader, e);
    *names = networks[0];
    return (count == 1 && !wanted) || choose(reader, wanted, networks, count, names, e);
}
