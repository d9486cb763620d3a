#include "image/exif.h"

#include <stdbool.h>

enum { ENTRY_BYTES = 12, TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3, TYPE_LONG = 4, UPRIGHT = 1 };

static uint32_t load(const uint8_t *p, int bytes, bool big_endian) {
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++)
        value = value << 8 | p[big_endian ? i : bytes - 1 - i];
    return value;
}

int nnclr_exif_orientation(const uint8_t *bytes, size_t size) {
    if (size < 8 || bytes[0] != bytes[1] || (bytes[0] != 'I' && bytes[0] != 'M'))
        return UPRIGHT;
    bool big = bytes[0] == 'M';
    size_t directory = load(bytes + 4, 4, big);
    if (load(bytes + 2, 2, big) != 42 || directory > size - 2)
        return UPRIGHT;

    size_t entries = load(bytes + directory, 2, big);
    const uint8_t *entry = bytes + directory + 2;
    size_t room = (size - directory - 2) / ENTRY_BYTES;
    for (size_t i = 0; i < entries && i < room; i++, entry += ENTRY_BYTES) {
        if (load(entry, 2, big) != TAG_ORIENTATION)
            continue;
        uint32_t type = load(entry + 2, 2, big);
        uint32_t value = type == TYPE_SHORT  ? load(entry + 8, 2, big)
                         : type == TYPE_LONG ? load(entry + 8, 4, big)
                                             : 0;
        return value >= 1 && value <= 8 ? (int)value : UPRIGHT;
    }
    return UPRIGHT;
}
