#include "image/font.h"

enum {
    FIRST = ' ',
    LAST = '~',
    INK_WIDTH = 5, /* the sixth column and the tenth row, on top, are blank */
    INK_HEIGHT = 9,
    GLYPHS_IN_BLOCK = 12
};

/* Twelve glyphs side by side, from ' ' on; seven rows above the base line, two below. */
/* clang-format off */
static const char *const drawing[] = {
    "        #    # #   # #    #   ##  #  ##     #      #   #                ",
    "        #    # #   # #   #### ##  # #  #    #     #     #     #     #   ",
    "        #    # #  ##### # #      #  # #     #    #       #  # # #   #   ",
    "        #          # #   ###    #    #           #       #   ###  ##### ",
    "        #         #####   # #  #    # # #        #       #  # # #   #   ",
    "                   # #  ####  #  ## #  #          #     #     #     #   ",
    "        #          # #    #   #  ##  ## #          #   #                ",
    "                                                                        ",
    "                                                                        ",
    "                         ###    #    ###  #####    #  #####   ##  ##### ",
    "                      # #   #  ##   #   #     #   ##  #      #        # ",
    "                     #  #  ##   #       #    #   # #  ####  #        #  ",
    "      #####         #   # # #   #      #    ##  #  #      # ####    #   ",
    "                   #    ##  #   #     #       # #####     # #   #  #    ",
    " ##          ##   #     #   #   #    #    #   #    #  #   # #   #  #    ",
    " ##          ##          ###   ###  #####  ###     #   ###   ###   #    ",
    "  #                                                                     ",
    " #                                                                      ",
    " ###   ###                  #       #      ###   ###    #   ####   ###  ",
    "#   # #   #  ##    ##      #         #    #   # #   #  # #  #   # #   # ",
    "#   # #   #  ##    ##     #   #####   #       # # ### #   # #   # #     ",
    " ###   ####              #             #     #  # # # #   # ####  #     ",
    "#   #     #               #   #####   #     #   # ### ##### #   # #     ",
    "#   #    #   ##    ##      #         #          #     #   # #   # #   # ",
    " ###   ##    ##    ##       #       #       #    ###  #   # ####   ###  ",
    "                    #                                                   ",
    "                   #                                                    ",
    "###   ##### #####  ###  #   #  ###    ### #   # #     #   # #   #  ###  ",
    "#  #  #     #     #   # #   #   #      #  #  #  #     ## ## #   # #   # ",
    "#   # #     #     #     #   #   #      #  # #   #     # # # ##  # #   # ",
    "#   # ####  ####  # ### #####   #      #  ##    #     # # # # # # #   # ",
    "#   # #     #     #   # #   #   #      #  # #   #     #   # #  ## #   # ",
    "#  #  #     #     #   # #   #   #   #  #  #  #  #     #   # #   # #   # ",
    "###   ##### #      #### #   #  ###   ##   #   # ##### #   # #   #  ###  ",
    "                                                                        ",
    "                                                                        ",
    "####   ###  ####   ###  ##### #   # #   # #   # #   # #   # #####  ###  ",
    "#   # #   # #   # #   #   #   #   # #   # #   # #   # #   #     #  #    ",
    "#   # #   # #   # #       #   #   # #   # #   #  # #   # #     #   #    ",
    "####  #   # ####   ###    #   #   # #   # # # #   #     #     #    #    ",
    "#     # # # # #       #   #   #   # #   # # # #  # #    #    #     #    ",
    "#     #  #  #  #  #   #   #   #   #  # #  ## ## #   #   #   #      #    ",
    "#      ## # #   #  ###    #    ###    #   #   # #   #   #   #####  ###  ",
    "                                                                        ",
    "                                                                        ",
    "       ###    #          #          #               #         ##        ",
    "#        #   # #          #         #               #        #  #       ",
    " #       #  #   #              ###  ####   ###   ####  ###   #     #### ",
    "  #      #                        # #   # #   # #   # #   # ###   #   # ",
    "   #     #                     #### #   # #     #   # #####  #    #   # ",
    "    #    #                    #   # #   # #   # #   # #      #    #   # ",
    "       ###                     #### ####   ###   ####  ###   #     #### ",
    "                  #####                                               # ",
    "                                                                   ###  ",
    "#       #      #  #      ##                                             ",
    "#                 #       #                                             ",
    "####   ##     ##  #  #    #   ## #  ####   ###  ####   #### # ##   #### ",
    "#   #   #      #  # #     #   # # # #   # #   # #   # #   # ##  # #     ",
    "#   #   #      #  ##      #   # # # #   # #   # #   # #   # #      ###  ",
    "#   #   #      #  # #     #   # # # #   # #   # #   # #   # #         # ",
    "#   #  ###     #  #  #   ###  # # # #   #  ###  ####   #### #     ####  ",
    "            #  #                                #         #             ",
    "             ##                                 #         #             ",
    " #                                           ##   #   ##                ",
    " #                                          #     #     #               ",
    "###   #   # #   # #   # #   # #   # #####   #     #     #    #  #       ",
    " #    #   # #   # #   #  # #  #   #    #   #      #      #  # # #       ",
    " #    #   # #   # # # #   #   #   #   #     #     #     #   #  #        ",
    " #  # #  ##  # #  # # #  # #  #   #  #      #     #     #               ",
    "  ##   ## #   #    # #  #   #  #### #####    ##   #   ##                ",
    "                                  #                                     ",
    "                               ###                                      ",
};
/* clang-format on */

static bool has_ink(unsigned char letter, int x, int y) {
    int glyph = letter >= FIRST && letter <= LAST ? letter - FIRST : '?' - FIRST;
    const char *row = drawing[glyph / GLYPHS_IN_BLOCK * INK_HEIGHT + y];
    return row[glyph % GLYPHS_IN_BLOCK * NNCLR_FONT_WIDTH + x] == '#';
}

static void blacken(nnclr_image *image, int x, int y) {
    if (x < 0 || y < 0 || x >= image->width || y >= image->height)
        return;
    uint8_t *pixel = image->pixels + 3 * ((size_t)y * (size_t)image->width + (size_t)x);
    pixel[0] = pixel[1] = pixel[2] = 0;
}

void nnclr_draw_text(nnclr_image *image, int left, int top, const char *text, size_t size) {
    for (size_t i = 0; i < size && left < image->width; i++, left += NNCLR_FONT_WIDTH)
        for (int y = 0; y < INK_HEIGHT; y++)
            for (int x = 0; x < INK_WIDTH; x++)
                if (has_ink((unsigned char)text[i], x, y))
                    blacken(image, left + x, top + 1 + y);
}
